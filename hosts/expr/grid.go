package expr

import (
	"encoding/binary"
	"slices"
)

// A cell is a set of tokens: a single token as itself, several as the index of their list in
// sets with the top bit set. Equal cells are equal sets.
type cell uint64

const several cell = 1 << 63

// sets holds each list of several tokens once.
type sets struct {
	lists [][]token
	index map[string]cell
	key   []byte
}

// of returns the cell for a sorted list of more than one token, which it copies.
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
	if s.index == nil {
		s.index = make(map[string]cell)
	}
	s.index[string(s.key)] = c
	return c
}

// appendTokens appends the tokens of c to list.
func (s *sets) appendTokens(list []token, c cell) []token {
	if isSeveral(c) {
		return append(list, s.lists[c&^several]...)
	}
	return append(list, token(c))
}

func isSeveral(c cell) bool { return c&several != 0 }

// first returns the smallest token of c.
func (s *sets) first(c cell) token {
	if isSeveral(c) {
		return s.lists[c&^several][0]
	}
	return token(c)
}

// A grid is a list of rows, each the product of its cells. Rows never overlap.
type grid struct {
	dims  int
	cells []cell // row after row
	sets  *sets
}

func (g grid) rows() int          { return len(g.cells) / g.dims }
func (g grid) row(i int32) []cell { return g.cells[int(i)*g.dims:][:g.dims] }

// grid returns the names of the shape as rows of single tokens.
func (s *shape) grid() grid {
	g := grid{dims: s.dims(), cells: make([]cell, len(s.rows)), sets: &sets{}}
	for i, t := range s.rows {
		g.cells[i] = cell(t)
	}
	return g
}

// firstName returns the first name of a row.
func (g grid) firstName(literals []string, row []cell) string {
	b := append(make([]byte, 0, 64), literals[0]...)
	for dim, c := range row {
		b = append(g.sets.first(c).append(b), literals[dim+1]...)
	}
	return string(b)
}

// orders returns the orders in which dimensions may be merged: innermost first,
// outermost first, then the rotations of both. Of three dimensions those are
// all orders.
func orders(dims int) [][]int {
	list := make([][]int, 0, 2*dims)
	for turn := range dims {
		inner, outer := make([]int, dims), make([]int, dims)
		for i := range dims {
			outer[i] = (i + turn) % dims
			inner[dims-1-i] = outer[i]
		}
		list = append(list, inner, outer)
	}
	if dims < 3 {
		return list[:dims]
	}
	return list
}

// merged merges rows in every dimension, one after the other in the given
// order.
func (g grid) merged(order []int) grid {
	g.cells = slices.Clone(g.cells)
	for _, dim := range order {
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

// mergedIn merges rows that differ only in dimension dim, in which every cell is still a single
// token. Such rows have different tokens there, so that the union has no duplicates; it is
// sorted because the rows are.
func (g grid) mergedIn(dim int) grid {
	g.cells = sortRows(g.cells, g.dims, dim)
	merged := g.cells[:0]
	var union []token
	for start, rows := int32(0), int32(g.rows()); start < rows; {
		end := start + 1
		for end < rows && compareExcept(g.row(start), g.row(end), dim) == 0 {
			end++
		}
		c := g.row(start)[dim]
		if end-start > 1 {
			union = union[:0]
			for i := start; i < end; i++ {
				union = append(union, token(g.row(i)[dim]))
			}
			c = g.sets.of(union)
		}
		merged = append(merged, g.row(start)...)
		merged[len(merged)-g.dims+dim] = c
		start = end
	}
	g.cells = merged
	return g
}
