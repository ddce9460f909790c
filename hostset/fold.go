package hostset

import (
	"slices"
	"strings"
)

// Fold gives the shortest expression for a set of names that a person would
// write: sorted as [Compare] does by the first name of each piece, duplicates
// gone, every run of digits folded that can be, several of them into products
// where that is exact (n[1-2]r[3-4], 127.1.0.[1-250]). Numbers with different
// zero padding are different names. No names give "".
//
// Parse reads the result back to exactly the same set. The exceptions are names
// that no expression can hold (with a comma, a blank, an operator or a stray
// bracket, or beyond the limits of Parse): they stand in the result as they
// are, and the empty name is left out.
//
// The time is near linear in the number of names.
func Fold(names []string) string {
	var pieces []piece
	for _, g := range group(names) {
		pieces = append(pieces, g.fold()...)
	}
	slices.SortFunc(pieces, func(a, b piece) int { return Compare(a.first, b.first) })
	return join(pieces)
}

// A piece is a part of the result, with the first name that it stands for.
type piece struct{ first, text string }

func join(pieces []piece) string {
	size := 0
	for _, p := range pieces {
		size += len(p.text) + 1
	}
	var b strings.Builder
	b.Grow(size)
	for i, p := range pieces {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(p.text)
	}
	return b.String()
}

// fold covers the names of the shape with as few boxes as it finds.
func (s *shape) fold() []piece {
	if s.dims() == 0 {
		return []piece{{first: s.literals[0], text: s.literals[0]}}
	}
	grid := s.grid()
	inner := render(s.literals, grid.merged(innermostFirst))
	if len(inner) == 1 || grid.rows() > bothOrdersLimit {
		return inner
	}
	outer := render(s.literals, grid.merged(outermostFirst))
	if textSize(outer) < textSize(inner) {
		return outer
	}
	return inner
}

// bothOrdersLimit bounds the number of names of one shape for which both orders
// of merging are tried. Beyond it the gain is not worth twice the time.
const bothOrdersLimit = 100_000

func textSize(pieces []piece) int {
	size := 0
	for _, p := range pieces {
		size += len(p.text) + 1
	}
	return size
}
