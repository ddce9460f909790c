package expr

import (
	"cmp"
	"math/bits"
	"slices"
)

// Rows are stored one after the other in one slice, with dims numbers each.

// settleRows sorts rows in place and removes duplicates.
func settleRows(rows []token, dims int) []token {
	if ascending(rows, dims) {
		return rows
	}
	if dims == 1 {
		slices.Sort(rows)
		return slices.Compact(rows)
	}
	rows = sortRows(rows, dims, dims-1)
	unique := rows[:dims]
	for i := dims; i < len(rows); i += dims {
		if row := rows[i : i+dims]; !slices.Equal(row, unique[len(unique)-dims:]) {
			unique = append(unique, row...)
		}
	}
	return unique
}

// ascending reports whether rows are sorted without duplicates.
func ascending(rows []token, dims int) bool {
	for i := dims; i < len(rows); i += dims {
		if compareRows(rows[i-dims:i], rows[i:i+dims]) >= 0 {
			return false
		}
	}
	return true
}

func compareRows(a, b []token) int {
	for i, t := range a {
		if t != b[i] {
			return cmp.Compare(t, b[i])
		}
	}
	return 0
}

// mergeRows merges two lists of sorted, distinct rows into a new one.
func mergeRows(a, b []token, dims int, k keep) []token {
	merged := make([]token, 0, k.room(len(a), len(b)))
	take := func(list *[]token, kept bool) {
		if kept {
			merged = append(merged, (*list)[:dims]...)
		}
		*list = (*list)[dims:]
	}
	for len(a) > 0 && len(b) > 0 {
		switch c := compareRows(a[:dims], b[:dims]); {
		case c < 0:
			take(&a, k.left)
		case c > 0:
			take(&b, k.right)
		default:
			take(&a, k.both)
			take(&b, false)
		}
	}
	if k.left {
		merged = append(merged, a...)
	}
	if k.right {
		merged = append(merged, b...)
	}
	return merged
}

// room returns an upper bound of the length of a merge's result.
func (k keep) room(a, b int) int {
	switch {
	case k.right:
		return a + b
	case k.left:
		return a
	}
	return min(a, b)
}

// sortRows sorts rows in place by all columns from the first on, with column
// last as the least significant.
func sortRows[C ~uint64](rows []C, dims, last int) []C {
	if p, ok := newPacking(rows, dims, last); ok {
		return sortPacked(p, rows)
	}
	order := make([][]C, 0, len(rows)/dims)
	for i := 0; i < len(rows); i += dims {
		order = append(order, rows[i:i+dims])
	}
	slices.SortFunc(order, func(a, b []C) int {
		if c := compareExcept(a, b, last); c != 0 {
			return c
		}
		return cmp.Compare(a[last], b[last])
	})
	sorted := make([]C, 0, len(rows))
	for _, row := range order {
		sorted = append(sorted, row...)
	}
	return append(rows[:0], sorted...)
}

// compareExcept orders rows by all columns but one.
func compareExcept[C ~uint64](a, b []C, column int) int {
	for i := range a {
		if i != column && a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}
	return 0
}

// A field holds how many bits of a column's numbers are in use: the low bits below widthShift,
// those of the width above it, and the top bit.
type field struct{ column, low, width, top int }

func newField[C ~uint64](rows []C, dims, column int) field {
	var all C
	for i := column; i < len(rows); i += dims {
		all |= rows[i]
	}
	return field{
		column: column,
		low:    bits.Len64(uint64(all) & (1<<widthShift - 1)),
		width:  bits.Len64(uint64(all) >> widthShift & 0x7f),
		top:    int(all >> 63),
	}
}

func (f field) bits() int { return f.low + f.width + f.top }

// pack compresses v to as few bits as the column needs, preserving the order.
func (f field) pack(v uint64) uint64 {
	return v>>63<<(f.low+f.width) | v>>widthShift&0x7f<<f.low | v&(1<<f.low-1)
}

func (f field) unpack(v uint64) uint64 {
	width := v >> f.low & (1<<f.width - 1)
	return v>>(f.low+f.width)<<63 | width<<widthShift | v&(1<<f.low-1)
}

// A packing stores each row in one word, which makes sorting several times faster.
type packing []field

// newPacking returns false if rows need more than a word.
func newPacking[C ~uint64](rows []C, dims, last int) (packing, bool) {
	p := make(packing, 0, dims)
	total := 0
	for i := range dims {
		column := i
		if i >= last {
			column = i + 1
		}
		if i == dims-1 {
			column = last
		}
		f := newField(rows, dims, column)
		if total += f.bits(); total > 64 {
			return nil, false
		}
		p = append(p, f)
	}
	return p, true
}

func sortPacked[C ~uint64](p packing, rows []C) []C {
	dims := len(p)
	words := make([]uint64, len(rows)/dims)
	for i := range words {
		row := rows[i*dims:][:dims]
		for _, f := range p {
			words[i] = words[i]<<f.bits() | f.pack(uint64(row[f.column]))
		}
	}
	if slices.IsSorted(words) {
		return rows
	}
	slices.Sort(words)
	for i, word := range words {
		row := rows[i*dims:][:dims]
		for j := len(p) - 1; j >= 0; j-- {
			f := p[j]
			row[f.column] = C(f.unpack(word & (1<<f.bits() - 1)))
			word >>= f.bits()
		}
	}
	return rows
}
