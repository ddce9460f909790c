package output

import (
	"bytes"
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/ui"
	"shoal/record"
)

// lines prints one line for each group: number, names, end, and the first line of its
// output. On a terminal it is cut to the width.
func (g *Gathered) lines() error {
	list := g.shown.List
	shown := g.within(len(list))
	numbers := 0
	for _, group := range list[:shown] {
		numbers = max(numbers, len(count(len(group.Members))))
	}
	for _, group := range list[:shown] {
		line, err := g.line(group, numbers)
		if err != nil {
			return err
		}
		if err := wrap(fleet.Stdout, g.opts.Stdout.write(line)); err != nil {
			return err
		}
	}
	return g.tellRest(list[shown:])
}

// line returns the line of one group.
func (g *Gathered) line(group *groups.Group, numbers int) ([]byte, error) {
	out := g.opts.Stdout
	stdout, stderr, err := g.shown.Text(group)
	if err != nil {
		return nil, err
	}
	style := ui.Cyan
	if group.End.Outcome != fleet.OutcomeOK && group.End.Outcome != fleet.OutcomeDetached {
		style = ui.Red
	}
	head := fmt.Sprintf("%*s ", numbers, count(len(group.Members)))
	names := namesWithin(group.Members, out.columns()/2-len(head))
	text := append([]byte(head), out.label(names+":", style)...)

	notes := endNotes(resultOf(group, stdout, stderr))
	if word := wordOf(group.End.Outcome); toldEnd(&group.End) == "" && group.End.Outcome != fleet.OutcomeOK {
		notes = append([]string{word}, notes...)
	}
	first, more := firstLine(stdout, stderr)
	if len(first) == 0 && group.End.Outcome == fleet.OutcomeOK {
		notes = append(notes, "no output")
	}
	rest := strings.Join(notes, "; ")
	if len(first) > 0 {
		if rest != "" {
			rest += ": "
		}
		if group.Differ != 0 { // it is the text of one of them
			rest += "e.g. " + ui.Visible(group.Shown.Host) + ": "
		}
		if out.Escape {
			first = ui.AppendVisible(nil, first, ui.KeepNewline)
		}
		rest += string(first)
	}
	end := ""
	if more > 0 {
		end = " (+" + ui.CountOf(more, "line", "lines") + ")"
	}
	between := " "
	if columns := out.columns(); columns > 0 {
		room := columns - ui.Width(head+names+": ") - ui.Width(end)
		if room < minNames && ui.Width(rest) > room { // too narrow for both: the text goes on the next line
			between = "\n" + strings.Repeat(" ", len(head)+1)
			room = columns - len(head) - 1 - ui.Width(end)
		}
		rest = ui.Truncate(rest, max(room, minNames/2))
	}
	return append(append(text, between+rest+end...), '\n'), nil
}

// namesWithin returns folded names that fit into the columns, or all if there are none.
func namesWithin(members []groups.Member, columns int) string {
	if columns <= 0 {
		columns = maxInt
	}
	return foldWithin(&record.Group{Targets: len(members), Hosts: groups.Hosts(members)}, max(columns, minNames/2))
}

const maxInt = int(^uint(0) >> 1)

// firstLine returns the first line of the outputs without its newline, and the number of
// lines after it.
func firstLine(outputs ...[]byte) (first []byte, more int) {
	for _, output := range outputs {
		for line := range bytes.Lines(output) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if len(bytes.TrimSpace(first)) == 0 {
				first = line
				continue
			}
			more++
		}
	}
	return first, more
}
