package hostset

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// A cell is a set of tokens: a single one as itself, several as the number of
// their list in sets with the top bit set. Equal cells are equal sets.
type cell uint64

const several cell = 1 << 63

// sets holds each list of several tokens once.
type sets struct {
	lists [][]token
	index map[string]cell
	key   []byte
}

// of gives the cell for a sorted list of more than one token, which it copies.
func (s *sets) of(list []token) cell {
	s.key = s.key[:0]
	for _, t := range list {
		s.key = binary.BigEndian.AppendUint64(s.key, uint64(t))
	}
	if c, ok := s.index[string(s.key)]; ok {
		return c
	}
	c := several | cell(len(s.lists))
	s.lists = append(s.lists, slices.Clone(list))
	s.index[string(s.key)] = c
	return c
}

// appendTokens appends the tokens of c to list.
func (s *sets) appendTokens(list []token, c cell) []token {
	if c&several == 0 {
		return append(list, token(c))
	}
	return append(list, s.lists[c&^several]...)
}

// A grid is a list of rows, each the product of its cells. Rows never overlap.
type grid struct {
	dims  int
	cells []cell // row after row
	sets  *sets
}

func (g grid) rows() int          { return len(g.cells) / g.dims }
func (g grid) row(i int32) []cell { return g.cells[int(i)*g.dims:][:g.dims] }

// compareExcept orders rows by all dimensions but one.
func compareExcept(a, b []cell, dim int) int {
	for i := range a {
		if i != dim && a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}
	return 0
}

// sorted gives the rows in order, with dimension last as the least significant.
func (g grid) sorted(last int) grid {
	order := make([]int32, g.rows())
	for i := range order {
		order[i] = int32(i)
	}
	compare := func(a, b int32) int {
		x, y := g.row(a), g.row(b)
		if c := compareExcept(x, y, last); c != 0 {
			return c
		}
		return cmp.Compare(x[last], y[last])
	}
	if slices.IsSortedFunc(order, compare) {
		return g
	}
	slices.SortFunc(order, compare)
	cells := make([]cell, 0, len(g.cells))
	for _, i := range order {
		cells = append(cells, g.row(i)...)
	}
	g.cells = cells
	return g
}

// unique drops rows that equal the one before them.
func (g grid) unique() grid {
	kept := make([]cell, 0, len(g.cells))
	for i := range int32(g.rows()) {
		if i == 0 || !slices.Equal(g.row(i), g.row(i-1)) {
			kept = append(kept, g.row(i)...)
		}
	}
	g.cells = kept
	return g
}

// The orders in which dimensions are merged.
func innermostFirst(i, dims int) int { return dims - 1 - i }
func outermostFirst(i, _ int) int    { return i }

// merged merges rows in every dimension, one after the other in the given
// order.
func (g grid) merged(order func(i, dims int) int) grid {
	for i := range g.dims {
		dim := order(i, g.dims)
		if g.varies(dim) {
			g = g.mergedIn(dim)
		}
	}
	return g
}

func (g grid) varies(dim int) bool {
	for i := dim; i < len(g.cells); i += g.dims {
		if g.cells[i] != g.cells[dim] {
			return true
		}
	}
	return false
}

// mergedIn joins rows that differ in this dimension only, in which every cell
// is still a single token. Such rows have no token of it in common, so that a
// union loses nothing and doubles nothing; sorted rows give it in order.
func (g grid) mergedIn(dim int) grid {
	g = g.sorted(dim)
	merged := make([]cell, 0, g.dims)
	var union []token
	for start, rows := int32(0), int32(g.rows()); start < rows; {
		end := start + 1
		for end < rows && compareExcept(g.row(start), g.row(end), dim) == 0 {
			end++
		}
		merged = append(merged, g.row(start)...)
		if end-start > 1 {
			union = union[:0]
			for i := start; i < end; i++ {
				union = append(union, token(g.row(i)[dim]))
			}
			merged[len(merged)-g.dims+dim] = g.sets.of(union)
		}
		start = end
	}
	g.cells = merged
	return g
}
