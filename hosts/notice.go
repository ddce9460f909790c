package hosts

import (
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/hosts/internal/problem"
)

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// A sample counts hosts and keeps some of them to show.
type sample struct {
	total int
	names []string
}

// Bounds of a sample: how many names are kept, and how many bytes are shown.
const (
	keptNames = 10_000
	shownFold = 200
)

func (s *sample) add(h fleet.Host) {
	s.total++
	if len(s.names) < keptNames {
		s.names = append(s.names, h.String())
	}
}

// String returns the kept names, folded, and cut after a comma if they are too many to
// show.
func (s sample) String() string {
	folded := expr.Fold(s.names)
	if len(folded) <= shownFold {
		if s.total > len(s.names) {
			return folded + ",…"
		}
		return folded
	}
	cut := strings.LastIndexByte(folded[:shownFold], ',') + 1
	if cut == 0 {
		cut = shownFold
	}
	return folded[:cut] + "…"
}

// includes are #include lines, which pdsh follows and which are comments here.
type includes struct {
	total int
	first string
}

func (i *includes) add(at place, line string) {
	if i.total++; i.total == 1 {
		i.first = fmt.Sprintf("%s:%d: %q", problem.Printable(at.source), at.line, problem.Bounded(line))
	}
}

func (i *includes) notices() []string {
	if i.total == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s not followed (name the files with --hostfile): %s",
		plural(i.total, "#include is a comment here and", "#includes are comments here and"), i.first)}
}
