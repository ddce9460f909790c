package output

import (
	"errors"
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/ui"
)

// rule is the line above and below the hosts' names, as in clush.
const rule = "---------------"

// indent precedes each line of output on a terminal, so that no host can imitate a
// heading.
const indent = "  "

// GatheredOptions configure Gathered.
type GatheredOptions struct {
	// Stdout gets the headings and outputs. Stderr gets one line for each group of targets
	// that did not run and have no output.
	Stdout, Stderr Out
	// Apart groups standard error separately and prints it to Stderr. Without it two
	// targets are equal only if both streams are, and standard error follows standard
	// output under one heading.
	Apart bool
}

// Gathered groups equal results and prints each once, under the folded names of its hosts,
// when it is closed. Results are equal if their outputs and the way they ended are equal;
// addresses and times in error texts are ignored.
//
// It prints the largest group first and the smallest last, so that the exceptions are at
// the bottom of the screen, next to the summary.
//
// It holds one copy of each distinct output and the name of every host.
type Gathered struct {
	opts    GatheredOptions
	results gathering
	stderr  gathering // used with Apart
}

// NewGathered returns an empty Gathered.
func NewGathered(o GatheredOptions) *Gathered {
	return &Gathered{opts: o, results: newGathering(), stderr: newGathering()}
}

// Result adds one result to its group.
func (g *Gathered) Result(r fleet.Result) error {
	if !g.opts.Apart {
		g.results.add(&r)
		return nil
	}
	if len(r.Stderr.Bytes) > 0 {
		only := fleet.Result{Target: r.Target, Stderr: r.Stderr}
		only.Flags = r.Flags
		g.stderr.add(&only)
	}
	r.Stderr = fleet.Output{}
	g.results.add(&r)
	return nil
}

// Close prints all groups.
func (g *Gathered) Close() error {
	var errs []error
	for _, group := range g.results.bySize() {
		if err := g.print(group); err != nil {
			errs = append(errs, err)
			break
		}
	}
	for _, group := range g.stderr.bySize() {
		text := block(g.opts.Stderr, group.heading(toldLoss(&group.result)), ui.Yellow, group.result.Stderr.Bytes)
		if err := wrap(fleet.Stderr, g.opts.Stderr.write(text)); err != nil {
			errs = append(errs, err)
			break
		}
	}
	g.results, g.stderr = gathering{}, gathering{}
	return errors.Join(errs...)
}

// print prints one group, to Stdout if it ran or has output.
func (g *Gathered) print(group *gathered) error {
	r := &group.result
	notes := toldLoss(r)
	if end := toldEnd(&r.End); end != "" {
		notes = append([]string{end}, notes...)
	}
	silent := len(r.Stdout.Bytes)+len(r.Stderr.Bytes) == 0
	switch {
	case silent && r.Outcome.Ran():
		notes = append(notes, g.nothing())
	case silent && len(notes) == 0:
		return nil
	case silent:
		return wrap(fleet.Stderr, g.opts.Stderr.write(g.failure(group, notes)))
	}
	text := block(g.opts.Stdout, group.heading(notes), ui.Cyan, r.Stdout.Bytes, r.Stderr.Bytes)
	return wrap(fleet.Stdout, g.opts.Stdout.write(text))
}

func (g *Gathered) nothing() string {
	if g.opts.Apart {
		return "nothing on stdout"
	}
	return "no output"
}

// failure returns the line for a group without output. The targets' errors may differ in
// details; the first one is an example.
func (g *Gathered) failure(group *gathered, notes []string) []byte {
	line := g.opts.Stderr.label(group.names()+":", ui.Red)
	line = append(line, " "+strings.Join(notes, "; ")...)
	if cause := toldCause(&group.result.End); cause != "" {
		if group.targets > 1 {
			cause = "for example " + ui.Visible(group.result.Target.Host.String()) + ": " + cause
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
func (g *gathered) heading(notes []string) string {
	if len(notes) == 0 {
		return g.names()
	}
	return g.names() + ": " + strings.Join(notes, "; ")
}

// names returns the folded host names and, if there are several, their number.
func (g *gathered) names() string {
	text := ui.Visible(expr.Fold(g.hosts))
	if g.targets > 1 {
		text += fmt.Sprintf(" (%s)", ui.Count(int64(g.targets)))
	}
	return text
}
