package output

import (
	"errors"
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/ui"
)

// rule is the line above and below the hosts' names, as clush draws it.
const rule = "---------------"

// indent stands before each line of output on a terminal, so that no host can
// draw a heading of its own.
const indent = "  "

// GatheredOptions say how Gathered prints.
type GatheredOptions struct {
	// Stdout takes the headings and outputs, Stderr one line for each group of
	// targets that did not run and have no output.
	Stdout, Stderr Out
	// Apart gathers standard error by itself and prints it to Stderr. Without
	// it two targets are equal when both streams are, and standard error
	// follows standard output under one heading.
	Apart bool
}

// Gathered prints equal results once, under the folded names of their hosts,
// when it is closed. Results are equal when their outputs and the way they
// ended are; what an error says of an address or a time does not count.
//
// The largest group is printed first and the smallest last: whoever looks for
// the odd one out finds it at the bottom of the screen, beside the summary,
// without scrolling back.
//
// It holds one copy of each distinct output and the name of every host.
type Gathered struct {
	opts    GatheredOptions
	results gathering
	stderr  gathering // used with Apart
}

// NewGathered gives a Gathered that is ready.
func NewGathered(o GatheredOptions) *Gathered {
	return &Gathered{opts: o, results: newGathering(), stderr: newGathering()}
}

// Result puts one result with its equals.
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

// Close prints everything.
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

// print prints one group. What ran, or left output, goes to Stdout.
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

// failure is the line for a group without output. The causes of its targets may
// differ in their details, so that of the first is an example.
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

// block is a heading between rules and what stands under it.
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

// heading is the names and what is to be noted.
func (g *gathered) heading(notes []string) string {
	if len(notes) == 0 {
		return g.names()
	}
	return g.names() + ": " + strings.Join(notes, "; ")
}

// names folds the hosts and, beyond one, counts the targets.
func (g *gathered) names() string {
	text := ui.Visible(expr.Fold(g.hosts))
	if g.targets > 1 {
		text += fmt.Sprintf(" (%s)", ui.Count(int64(g.targets)))
	}
	return text
}
