package inventory

import (
	"fmt"
	"strings"
)

// A Problem is one entry that cannot be used.
type Problem struct {
	// Source is "-w", "-x", "stdin" or the path of a file; "" where the
	// problem is with the inventory as a whole.
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

// String gives place, text and reason in one line, without the hint.
func (p Problem) String() string {
	var b strings.Builder
	if p.Source != "" {
		b.WriteString(printable(p.Source))
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

// printable quotes a path only where it needs it.
func printable(s string) string {
	if quoted := fmt.Sprintf("%q", s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// Bounds of what is kept and shown.
const (
	keptProblems  = 1000
	shownProblems = 20
	keptText      = 80 // bytes
)

// Problems is every reason why an inventory cannot be used. Load returns no
// other error.
type Problems struct {
	// List holds the first 1,000 in the order in which they were met.
	List []Problem
	// Total counts all of them.
	Total int
}

func (p *Problems) add(problem Problem) {
	p.Total++
	if len(p.List) < keptProblems {
		problem.Text = bounded(problem.Text)
		p.List = append(p.List, problem)
	}
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
	hint := ""
	for _, problem := range p.List[:min(len(p.List), shownProblems)] {
		b.WriteString("\n  " + problem.String())
		if problem.Hint != hint && problem.Hint != "" {
			b.WriteString("\n    hint: " + problem.Hint)
		}
		hint = problem.Hint
	}
	if more := p.Total - shownProblems; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// bounded keeps the beginning of a text, marked where something is missing.
func bounded(s string) string {
	if len(s) <= keptText {
		return s
	}
	return s[:keptText] + "…"
}

// A fault is why one text cannot be used, before its place is known.
type fault struct{ reason, hint string }

func (f *fault) Error() string { return f.reason }

// Hint says what to do about it, in one line.
func (f *fault) Hint() string { return f.hint }
