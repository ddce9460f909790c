package output

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/groups"
	"shoal/internal/mask"
	"shoal/internal/ui"
)

// rule is the line above and below the hosts' names, as in clush.
const rule = "---------------"

// indent precedes each line of output on a terminal, so that no host can imitate a
// heading.
const indent = "  "

// A GroupView is how Gathered shows groups.
type GroupView uint8

// The views.
const (
	// Blocks are the whole outputs, each under the names of its hosts.
	Blocks GroupView = iota
	// OneLine is one line for each group: number, names, end, first line.
	OneLine
	// Diffs are the output of one group, the reference, and of each other group how it
	// differs.
	Diffs
)

// GatheredOptions configure Gathered.
type GatheredOptions struct {
	// Stdout gets the headings and outputs. Stderr gets one line for each group of targets
	// that did not run and have no output.
	Stdout, Stderr Out
	// Apart groups standard error separately and prints it to Stderr. Without it two
	// targets are equal only if both streams are, and standard error follows standard
	// output under one heading.
	Apart bool
	// Groups say which results are equal.
	Groups groups.Options
	// View is how groups are shown.
	View GroupView
	// Reference is the host with whose group the others are compared in Diffs; "" means the
	// largest group.
	Reference string
	// Max is the number of groups shown; the others are counted. 0 means all. In Diffs more
	// groups are shown line by line.
	Max int
	// Targets is the number of targets of the run, for the share of the reference; if there
	// are more results it is their number.
	Targets int
	// Standing means that the masks stay from one run to the next: that none of them made a
	// difference is not said.
	Standing bool
	// Rest is the command that shows everything; "" means that there is none: then no diff
	// is cut.
	Rest string
	// Mask is what asks for masks; "" means the flag, --mask auto.
	Mask string
}

// Gathered groups equal results and prints each once, under the folded names of its hosts,
// when it is closed. Results are equal if their outputs, as far as GatheredOptions.Groups
// has them count, and the way they ended are equal; addresses and times in error texts are
// ignored. What is printed is the text of one host, unmasked.
//
// It prints the largest group first and the smallest last, so that the exceptions are at
// the bottom of the screen, next to the summary.
//
// Memory is used as [groups.Collector] says.
type Gathered struct {
	opts    GatheredOptions
	results *groups.Collector
	stderr  *groups.Collector // used with Apart
	shown   *groups.Groups    // nil before all results are in
}

// NewGathered returns an empty Gathered.
func NewGathered(o GatheredOptions) *Gathered {
	g := &Gathered{opts: o, results: groups.New(o.Groups)}
	if o.Apart {
		o.Groups.Part = nil
		g.stderr = groups.New(o.Groups)
	}
	return g
}

// Result adds one result to its group.
func (g *Gathered) Result(r fleet.Result) error {
	if !g.opts.Apart {
		g.results.Add(&r)
		return nil
	}
	if len(r.Stderr.Bytes) > 0 {
		only := fleet.Result{Target: r.Target, Stderr: r.Stderr}
		only.Flags = r.Flags
		g.stderr.Add(&only)
	}
	r.Stderr = fleet.Output{}
	g.results.Add(&r)
	return nil
}

// Groups returns the groups that Close prints. No result may follow.
func (g *Gathered) Groups() *groups.Groups {
	if g.shown == nil {
		g.shown = g.results.Groups()
	}
	return g.shown
}

// Close prints all groups, and frees what PrintAs needs.
func (g *Gathered) Close() error {
	return errors.Join(g.printAll(), g.Free())
}

// PrintAs prints all groups to these outlets in this view, compared with the group of a host as
// GatheredOptions.Reference says. It may be called again and again, before Free. A log, which is no
// terminal, gets every group.
func (g *Gathered) PrintAs(stdout, stderr Out, view GroupView, reference string) error {
	as := *g
	as.opts.Stdout, as.opts.Stderr, as.opts.View, as.opts.Reference = stdout, stderr, view, reference
	if !stdout.Escape {
		as.opts.Max, as.opts.Rest = 0, ""
	}
	return as.printAll()
}

// Free ends a Gathered that is printed no more.
func (g *Gathered) Free() error {
	err := g.results.Close()
	if g.stderr != nil {
		err = errors.Join(err, g.stderr.Close())
	}
	return err
}

func (g *Gathered) printAll() error {
	g.Groups()
	var err error
	switch g.opts.View {
	case OneLine:
		err = g.lines()
	case Diffs:
		err = g.diffs()
	default:
		err = g.blocks()
	}
	if g.stderr != nil {
		err = errors.Join(err, g.errors())
	}
	return errors.Join(err, g.tellMasks())
}

// blocks prints each group, as many as are allowed.
func (g *Gathered) blocks() error {
	answers, _ := g.shown.Answers()
	shown := g.within(len(answers))
	last := (*groups.Group)(nil)
	if shown < len(answers) {
		last = answers[shown]
	}
	cut := false
	for _, group := range g.shown.List {
		cut = cut || group == last
		if cut && group.Answered() {
			continue
		}
		if err := g.print(group); err != nil {
			return err
		}
	}
	return g.tellRest(answers[shown:])
}

// within returns how many of n groups are shown.
func (g *Gathered) within(n int) int {
	if g.opts.Max > 0 {
		return min(n, g.opts.Max)
	}
	return n
}

// tellRest counts the groups that are not shown.
func (g *Gathered) tellRest(rest []*groups.Group) error {
	if len(rest) == 0 {
		return nil
	}
	text := "shoal: " + restText(rest)
	if g.opts.Rest != "" {
		text += "; " + g.opts.Rest + " shows all"
	}
	return errors.Join(g.say(text), g.tellOfMasks())
}

// tellOfMasks says, where there are many groups, that masks may make fewer of them.
func (g *Gathered) tellOfMasks() error {
	if g.opts.Groups.Masker != nil {
		return nil
	}
	return g.say("hint: " + cmp.Or(g.opts.Mask, "--mask auto") + " compares without times, process numbers and other noise")
}

// restText counts groups, and what is in them.
func restText(rest []*groups.Group) string {
	hosts := 0
	for _, group := range rest {
		hosts += len(group.Members)
	}
	return fmt.Sprintf("%s of %s are not shown, the largest of %s", ui.CountOf(len(rest), "group", "groups more"),
		ui.CountOf(hosts, "host", "hosts"), count(len(rest[0].Members)))
}

// say prints a line of our own to Stderr.
func (g *Gathered) say(text string) error {
	text += "\n"
	if columns := g.opts.Stderr.Columns; columns != nil {
		text = ui.Wrap(text, columns())
	}
	return wrap(fleet.Stderr, g.opts.Stderr.write([]byte(text)))
}

// tellMasks says which masks made a difference.
func (g *Gathered) tellMasks() error {
	switch told := g.shown.Told; {
	case g.opts.Groups.Masker == nil || g.shown.Targets == 0:
		return nil
	case told == 0 && g.opts.Standing:
		return nil
	case told == 0:
		return g.say("shoal: no mask made a difference")
	default:
		return g.say("shoal: not compared, though hosts differ in it: " + told.String())
	}
}

// errors prints the groups of standard error.
func (g *Gathered) errors() error {
	all := g.stderr.Groups()
	shown := g.within(len(all.List))
	for _, group := range all.List[:shown] {
		_, text, err := all.Text(group)
		notes := append(toldLoss(resultOf(group, nil, text)), g.shownNote(group)...)
		if err != nil {
			return err
		}
		if err := wrap(fleet.Stderr, g.opts.Stderr.write(block(g.opts.Stderr, heading(group, notes), ui.Yellow, text))); err != nil {
			return err
		}
	}
	return g.tellRest(all.List[shown:])
}

// resultOf returns a group as the result of the target that it shows.
func resultOf(g *groups.Group, stdout, stderr []byte) *fleet.Result {
	return &fleet.Result{
		End:    g.End,
		Stdout: fleet.Output{Bytes: stdout, Size: g.Sizes[fleet.Stdout]},
		Stderr: fleet.Output{Bytes: stderr, Size: g.Sizes[fleet.Stderr]},
	}
}

// print prints one group, to Stdout if it ran or has output.
func (g *Gathered) print(group *groups.Group) error {
	if !group.Answered() {
		return g.printSilent(group)
	}
	stdout, stderr, err := g.shown.Text(group)
	if err != nil {
		return err
	}
	notes := g.notes(group, stdout, stderr)
	text := block(g.opts.Stdout, heading(group, notes), ui.Cyan, stdout, stderr)
	return wrap(fleet.Stdout, g.opts.Stdout.write(text))
}

// printSilent prints the line for a group without output, if there is something to tell.
func (g *Gathered) printSilent(group *groups.Group) error {
	notes := endNotes(resultOf(group, nil, nil))
	if len(notes) == 0 {
		return nil
	}
	return wrap(fleet.Stderr, g.opts.Stderr.write(g.failure(group, notes)))
}

// endNotes returns how a target ended, unless it is ok, and what its output lacks.
func endNotes(r *fleet.Result) []string {
	notes := toldLoss(r)
	if end := toldEnd(&r.End); end != "" {
		notes = append([]string{end}, notes...)
	}
	return notes
}

// notes returns what stands beside the names of a group that gave an answer.
func (g *Gathered) notes(group *groups.Group, stdout, stderr []byte) []string {
	notes := endNotes(resultOf(group, stdout, stderr))
	switch {
	case group.NoPart && len(stdout)+len(stderr) == 0:
		notes = append(notes, "nothing to group by")
	case len(stdout)+len(stderr) == 0 && g.opts.Apart:
		notes = append(notes, "nothing on stdout")
	case len(stdout)+len(stderr) == 0:
		notes = append(notes, "no output")
	}
	return append(notes, g.shownNote(group)...)
}

// shownNote returns the note that the text is that of one host, where others differ.
func (g *Gathered) shownNote(group *groups.Group) []string {
	if group.Differ == 0 {
		return nil
	}
	host := group.Shown.Host
	if group.Differ == mask.Of(mask.Host) && len(group.Members) > 1 {
		return []string{"text of " + host + ", the others with their own names"}
	}
	return []string{"text of " + host + ", others differ in " + group.Differ.String()}
}

// failure returns the line for a group without output. The targets' errors may differ in
// details; the first one is an example.
func (g *Gathered) failure(group *groups.Group, notes []string) []byte {
	line := g.opts.Stderr.label(groupNames(group)+":", ui.Red)
	line = append(line, " "+strings.Join(notes, "; ")...)
	if cause := toldCause(&group.End); cause != "" {
		if len(group.Members) > 1 {
			cause = "for example " + ui.Visible(group.Shown.Host) + ": " + cause
		}
		line = append(line, ": "+cause...)
	}
	return append(line, '\n')
}

// block returns a heading between rules, followed by the outputs.
func block(out Out, heading string, style ui.Style, outputs ...[]byte) []byte {
	text := append(out.label(rule, style), '\n')
	text = append(text, out.label(heading, style)...)
	text = append(text, '\n')
	text = append(text, out.label(rule, style)...)
	text = append(text, '\n')
	var prefix []byte
	if out.Escape {
		prefix = []byte(indent)
	}
	for _, output := range outputs {
		text = out.appendLines(text, prefix, output)
		if n := len(output); n > 0 && output[n-1] != '\n' && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
	}
	return text
}

// heading returns the names and notes.
func heading(g *groups.Group, notes []string) string {
	if len(notes) == 0 {
		return groupNames(g)
	}
	return groupNames(g) + ": " + strings.Join(notes, "; ")
}

// groupNames returns the folded host names and, if there are several, their number.
func groupNames(g *groups.Group) string { return memberNames(g.Members) }

func memberNames(members []groups.Member) string {
	text := ui.Visible(expr.Fold(groups.Hosts(members)))
	if len(members) > 1 {
		text += fmt.Sprintf(" (%s)", count(len(members)))
	}
	return text
}

// targets returns the number of targets of the run.
func (g *Gathered) targets() int { return max(g.opts.Targets, g.shown.Targets) }

// columns returns the width of a terminal, or 0.
func (o Out) columns() int {
	if !o.Escape || o.Columns == nil {
		return 0
	}
	return cmp.Or(o.Columns(), 80)
}
