// Package problem collects all errors of an inventory, each with its place, in bounded memory
// and text.
//
// A [Problems] collects the errors of all readers of an inventory; a [Fault] is a reason
// without a place.
package problem

import (
	"fmt"
	"strings"

	"shoal/internal/hint"
)

// A Problem is one entry that cannot be used.
type Problem struct {
	// Source is the option ("-w", "-x"), "stdin", the path of a file, or a
	// command; "" where the problem is with the inventory as a whole.
	Source string
	// Line counts from 1; 0 where the source has no lines or could not be read.
	Line int
	// Text is the beginning of what was written, as it was written: hostile
	// bytes until quoted.
	Text string
	// Reason is what is wrong with it.
	Reason string
	// Hint is what to do about it; "" where there is nothing to say.
	Hint string
}

// String returns place, text and reason in one line, without the hint.
func (p Problem) String() string {
	var b strings.Builder
	if p.Source != "" {
		b.WriteString(Printable(p.Source))
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Text != "" {
		fmt.Fprintf(&b, "%q: ", p.Text)
	}
	b.WriteString(p.Reason)
	return b.String()
}

// Printable quotes a path only where it needs it.
func Printable(s string) string {
	if quoted := fmt.Sprintf("%q", s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// Bounds of what is kept and shown.
const (
	keptProblems  = 1000
	shownProblems = 20
	// KeptText bounds a text that a problem repeats, in bytes.
	KeptText = 80
)

// Problems holds all reasons why an inventory cannot be used. The zero value holds
// none.
type Problems struct {
	// List holds the first 1,000 in the order in which they were met.
	List []Problem
	// Total counts all of them.
	Total int
}

// Add takes one more, its text cut to [KeptText].
func (p *Problems) Add(problem Problem) {
	p.Total++
	if len(p.List) < keptProblems {
		problem.Text = Bounded(problem.Text)
		p.List = append(p.List, problem)
	}
}

// Join takes all of another's, behind those that are there.
func (p *Problems) Join(other *Problems) {
	room := min(keptProblems-len(p.List), len(other.List))
	p.List = append(p.List, other.List[:room]...)
	p.Total += other.Total
}

// Failed takes an error with the hint that it carries, if it does.
func (p *Problems) Failed(source string, line int, text string, err error) {
	reason, _ := hint.Split(err.Error())
	p.Add(Problem{Source: source, Line: line, Text: text, Reason: reason, Hint: hint.Of(err)})
}

// Error shows the first 20, one to a line, a hint below the first of those in a
// row that it is for, and how many more there are.
func (p *Problems) Error() string {
	if p.Total == 1 {
		only := p.List[0]
		if only.Hint == "" {
			return only.String()
		}
		return only.String() + "\nhint: " + only.Hint
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d entries cannot be used", p.Total)
	last := ""
	for _, problem := range p.List[:min(len(p.List), shownProblems)] {
		b.WriteString("\n  " + problem.String())
		if problem.Hint != last && problem.Hint != "" {
			b.WriteString("\n    hint: " + problem.Hint)
		}
		last = problem.Hint
	}
	if more := p.Total - shownProblems; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// Bounded keeps the beginning of a text, marked where something is missing.
func Bounded(s string) string {
	if len(s) <= KeptText {
		return s
	}
	return s[:KeptText] + "…"
}

// A Fault is why one text cannot be used, before its place is known.
type Fault struct{ Reason, Advice string }

// Faultf returns a fault whose reason is formatted.
func Faultf(advice, format string, args ...any) *Fault {
	return &Fault{Reason: fmt.Sprintf(format, args...), Advice: advice}
}

func (f *Fault) Error() string { return f.Reason }

// Hint says what to do about it, in one line.
func (f *Fault) Hint() string { return f.Advice }
