package expr

import (
	"cmp"
	"slices"
	"strings"
)

// Fold returns the shortest readable expression for a set of names, without duplicates. Its
// pieces are sorted by their first names, in the order of [Compare]. Runs of digits are folded
// into ranges, several of them into products if that is exact (n[1-2]r[3-4],
// 127.1.0.[1-250]). Numbers with different zero padding are different names. The result for no
// names is "".
//
// Parse reads the result back as exactly the same set. The exceptions are names that no
// expression can contain (with a comma, a blank, an operator or a stray bracket, or beyond the
// limits of Parse): they are in the result unchanged; the empty name is left out.
//
// It takes nearly linear time in the number of names.
func Fold(names []string) string { return SetOf(names).Fold() }

// Fold returns the shortest expression for the set; see [Fold].
func (s Set) Fold() string {
	pieces := make([]piece, 0, len(s.shapes))
	for _, sh := range s.shapes {
		pieces = sh.appendFold(pieces)
	}
	slices.SortFunc(pieces, func(a, b piece) int { return Compare(a.first, b.first) })
	return join(pieces)
}

// String returns s.Fold().
func (s Set) String() string { return s.Fold() }

// A piece is a part of the result, with its first name.
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

// appendFold covers the names of the shape with as few boxes as it finds.
func (s *shape) appendFold(pieces []piece) []piece {
	if s.len() == 1 {
		name := s.name(0)
		return append(pieces, piece{first: name, text: name})
	}
	if s.dims() == 1 {
		return append(pieces, piece{first: s.name(0), text: s.range1()})
	}
	grid := s.grid()
	var best rendering
	for i, order := range orders(grid.dims) {
		if i > 0 && (len(best.ends) == 1 || i*grid.rows() > ordersLimit) {
			break
		}
		found := render(s.literals, grid.merged(order))
		if i == 0 || found.size() < best.size() {
			best = found
		}
	}
	return best.appendPieces(pieces, s.literals)
}

// range1 writes a shape of one dimension.
func (s *shape) range1() string {
	b := append(make([]byte, 0, len(s.rows)+MaxNameLen), s.literals[0]...)
	return string(append(appendTokens(b, s.rows), s.literals[1]...))
}

// ordersLimit bounds the number of merging orders tried times the names of a shape. Beyond
// it the gain is not worth the time.
const ordersLimit = 100_000

// Compare compares names in numeric order: runs of digits by value, so that node9 comes
// before node10, everything else byte by byte. Names that differ only in zero padding are
// adjacent, the shorter first. It is a total order: 0 means equal names.
func Compare(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		if isDigit(x[0]) && isDigit(y[0]) {
			var m, n string
			m, x = cutDigits(x)
			n, y = cutDigits(y)
			if c := compareNumbers(m, n); c != 0 {
				return c
			}
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	if c := cmp.Compare(len(x), len(y)); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// cutDigits splits s after its leading digits.
func cutDigits(s string) (digits, rest string) {
	end := 0
	for end < len(s) && isDigit(s[end]) {
		end++
	}
	return s[:end], s[end:]
}

// compareNumbers compares digits of any length by value.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
