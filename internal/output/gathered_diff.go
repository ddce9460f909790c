package output

import (
	"errors"
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/textdiff"
	"shoal/internal/ui"
)

const (
	// maxDiffLines is the number of lines of one diff that are shown if a command shows the
	// rest.
	maxDiffLines = 100
	// maxVariants is that of the variants of one line.
	maxVariants = 50
)

// diffs prints the reference and how the other groups differ from it.
func (g *Gathered) diffs() error {
	answers, silent := g.shown.Answers()
	ref, err := g.reference(answers)
	if err != nil {
		return err
	}
	switch {
	case ref == nil:
	case g.opts.Max > 0 && len(answers) > g.opts.Max:
		err = g.places(ref, answers, silent)
	default:
		err = g.minorities(ref, answers, silent)
	}
	if err != nil {
		return err
	}
	for _, group := range g.shown.List {
		if group.Answered() {
			continue
		}
		if err := g.printSilent(group); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gathered) writeOut(text []byte) error {
	return wrap(fleet.Stdout, g.opts.Stdout.write(text))
}

// reference returns the group with which the others are compared.
func (g *Gathered) reference(answers []*groups.Group) (*groups.Group, error) {
	if len(answers) == 0 {
		return nil, nil
	}
	if g.opts.Reference == "" {
		return answers[0], nil
	}
	if group := g.shown.Of(g.opts.Reference); group != nil && group.Answered() {
		return group, nil
	}
	return answers[0], g.say("shoal: " + ui.Visible(g.opts.Reference) + " gave no answer; the reference is the largest group")
}

// share returns the line that says how many targets are like the reference.
func (g *Gathered) share(ref *groups.Group, silent int) []byte {
	text := fmt.Sprintf("reference: %s of %s", count(len(ref.Members)), count(g.targets())) + g.withoutAnswer(silent)
	return append(g.opts.Stdout.label(text, ui.Cyan), '\n')
}

// withoutAnswer returns what follows the number of targets: how many of them gave no
// answer.
func (g *Gathered) withoutAnswer(silent int) string {
	if silent += g.targets() - g.shown.Targets; silent > 0 {
		return fmt.Sprintf("; %s without an answer", count(silent))
	}
	return ""
}

// minorities prints the reference as a whole, and the others as diffs.
func (g *Gathered) minorities(ref *groups.Group, answers []*groups.Group, silent int) error {
	if err := g.writeOut(g.share(ref, silent)); err != nil {
		return err
	}
	if err := g.print(ref); err != nil {
		return err
	}
	for _, group := range answers {
		if group == ref {
			continue
		}
		text, err := g.diff(ref, group)
		if err != nil {
			return err
		}
		if err := g.writeOut(text); err != nil {
			return err
		}
	}
	return nil
}

// diff returns how a group differs from the reference.
func (g *Gathered) diff(ref, group *groups.Group) ([]byte, error) {
	d, err := g.shown.Diff(ref, group)
	if err != nil {
		return nil, err
	}
	stdout, stderr, err := g.shown.Text(group)
	if err != nil {
		return nil, err
	}
	out := g.opts.Stdout
	notes := g.notes(group, stdout, stderr)
	silent := len(stdout) == 0 && d.Streams[fleet.Stdout] != nil
	switch {
	case d.None():
		notes = append(notes, "the output is the reference's")
	case silent && len(stderr) > 0:
		notes = append(notes, "nothing on stdout")
	}
	text := append(out.label(fmt.Sprintf("--- reference (%s)", count(len(ref.Members))), ui.Cyan), '\n')
	text = append(append(text, out.label("+++ "+heading(group, notes), ui.Cyan)...), '\n')
	for s, hunks := range d.Streams {
		if fleet.Stream(s) == fleet.Stdout && silent { // that all lines are missing is said
			continue
		}
		if fleet.Stream(s) == fleet.Stderr && (d.Large[s] || len(hunks) > 0) {
			text = append(append(text, out.label("standard error", ui.Cyan)...), '\n')
		}
		if d.Large[s] {
			text = append(append(text, out.label("too large to be compared line by line", ui.Yellow)...), '\n')
		}
		text = out.appendHunks(text, hunks, g.opts.Rest)
	}
	return text, nil
}

// appendHunks appends a diff, which is cut if a command shows the rest.
func (o Out) appendHunks(text []byte, hunks []textdiff.Hunk, rest string) []byte {
	var indented string
	if o.Escape {
		indented = indent
	}
	lines, left := 0, 0
	for _, h := range hunks {
		if rest != "" && lines >= maxDiffLines {
			left += len(h.Lines)
			continue
		}
		text = append(text, indented...)
		text = append(text, o.label(h.Header(), ui.Cyan)...)
		text = append(text, '\n')
		for _, line := range h.Lines {
			if lines++; rest != "" && lines > maxDiffLines {
				left++
				continue
			}
			text = o.appendDiffLine(text, indented, line)
		}
	}
	if left > 0 {
		text = append(text, indented...)
		text = append(text, fmt.Sprintf("… %s; %s shows them\n", ui.CountOf(left, "line more", "lines more"), rest)...)
	}
	return text
}

// appendDiffLine appends one line of a diff, coloured as a whole.
func (o Out) appendDiffLine(dst []byte, indented string, line textdiff.Line) []byte {
	prefix := []byte(indented + string(line.Op))
	style := ui.Plain
	if o.Colour {
		switch line.Op {
		case textdiff.Added:
			style = ui.Green
		case textdiff.Removed:
			style = ui.Red
		}
	}
	ended := strings.HasSuffix(line.Text, "\n")
	if style == ui.Plain {
		dst = o.appendLine(dst, prefix, []byte(line.Text))
	} else {
		// Escapes of the host are visible already, so that the style holds to the end.
		shown := o.appendLine(nil, prefix, []byte(line.Text))
		for piece := range strings.Lines(string(shown)) {
			dst = style.Append(dst, strings.TrimSuffix(piece, "\n"))
			dst = append(dst, '\n')
		}
	}
	if !ended {
		dst = append(dst, indented+textdiff.NoNewline+"\n"...)
	}
	return dst
}

// places prints the answers of many groups at once: lines that all have, and of the others
// each variant with its hosts.
func (g *Gathered) places(ref *groups.Group, answers []*groups.Group, silent int) error {
	out := g.opts.Stdout
	var text []byte
	if g.opts.Reference == "" {
		ref = nil
	} else {
		text = g.share(ref, silent)
	}
	places, left, err := g.shown.Lines(ref, answers)
	if err != nil {
		return err
	}
	numbers := 3
	for _, p := range places {
		for _, v := range p.Variants {
			numbers = max(numbers, len(count(len(v.Members))))
		}
	}
	under := strings.Repeat(" ", 2+numbers+2)
	text = append(append(text, out.label(fmt.Sprintf("%s different answers of %s%s", count(len(answers)),
		ui.CountOf(g.targets(), "host", "hosts"), g.withoutAnswer(silent)), ui.Cyan)...), '\n')
	text = g.appendEnds(text, answers, numbers)
	stream := fleet.Stdout
	for _, p := range places {
		if p.Stream != stream {
			stream = p.Stream
			text = append(append(text, out.label("standard error", ui.Cyan)...), '\n')
		}
		for _, line := range p.Common {
			text = out.appendLine(text, []byte(under), []byte(line))
		}
		text = g.appendVariants(text, p.Variants, numbers, under)
		if len(text) > 64<<10 {
			if err := g.writeOut(text); err != nil {
				return err
			}
			text = text[:0]
		}
	}
	for _, group := range left {
		text = g.appendVariant(text, group.Members, numbers, "too large to be compared line by line")
	}
	return errors.Join(g.writeOut(text), g.tellOfMasks())
}

// appendEnds appends how targets ended that are not ok, each way once.
func (g *Gathered) appendEnds(text []byte, answers []*groups.Group, numbers int) []byte {
	members := make(map[string][]groups.Member)
	var order []string
	for _, group := range answers {
		end := toldEnd(&group.End)
		if end == "" {
			continue
		}
		if members[end] == nil {
			order = append(order, end)
		}
		members[end] = append(members[end], group.Members...)
	}
	for _, end := range order {
		text = g.appendVariant(text, members[end], numbers, end)
	}
	return text
}

// appendVariant appends number, names and a text of our own.
func (g *Gathered) appendVariant(text []byte, members []groups.Member, numbers int, ours string) []byte {
	out := g.opts.Stdout
	head := fmt.Sprintf("  %*s ", numbers, count(len(members)))
	text = append(text, head...)
	text = append(text, out.label(namesWithin(members, out.columns()/2-len(head))+": ", ui.Cyan)...)
	text = append(text, out.label(ours, ui.Yellow)...)
	return append(text, '\n')
}

func (g *Gathered) appendVariants(text []byte, variants []groups.Variant, numbers int, under string) []byte {
	out := g.opts.Stdout
	for i, v := range variants {
		if g.opts.Rest != "" && i == maxVariants && len(variants) > maxVariants+1 {
			hosts := 0
			for _, v := range variants[i:] {
				hosts += len(v.Members)
			}
			return append(text, fmt.Sprintf("%s… %s variants more, of %s; %s shows them\n",
				under, count(len(variants)-i), ui.CountOf(hosts, "host", "hosts"), g.opts.Rest)...)
		}
		if len(v.Lines) == 0 {
			text = g.appendVariant(text, v.Members, numbers, "no such line")
			continue
		}
		head := fmt.Sprintf("  %*s ", numbers, count(len(v.Members)))
		names := namesWithin(v.Members, out.columns()/2-len(head))
		prefix := append([]byte(head), out.label(names+":", ui.Cyan)...)
		prefix = append(prefix, ' ')
		for j, line := range v.Lines {
			if j > 0 {
				prefix = []byte(under + indent)
			}
			text = out.appendLine(text, prefix, []byte(line))
		}
	}
	return text
}
