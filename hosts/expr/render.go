package expr

import (
	"slices"
	"strconv"
)

// A rendering is the text of a grid's rows.
type rendering struct {
	grid grid
	text []byte // row after row
	ends []int  // of the rows in text
}

// render writes each row of the grid between the literals of its shape.
func render(literals []string, g grid) rendering {
	r := rendering{grid: g, ends: make([]int, 0, g.rows())}
	var list []token
	for i := range int32(g.rows()) {
		r.text = append(r.text, literals[0]...)
		for dim, c := range g.row(i) {
			list = g.sets.appendTokens(list[:0], c)
			r.text = append(appendTokens(r.text, list), literals[dim+1]...)
		}
		r.ends = append(r.ends, len(r.text))
	}
	return r
}

// size returns the length of all rows with a comma each.
func (r rendering) size() int { return len(r.text) + len(r.ends) }

// appendPieces appends the rows as pieces.
func (r rendering) appendPieces(pieces []piece, literals []string) []piece {
	text := string(r.text)
	start := 0
	for i, end := range r.ends {
		p := piece{first: text[start:end], text: text[start:end]}
		if row := r.grid.row(int32(i)); slices.ContainsFunc(row, isSeveral) {
			p.first = r.grid.firstName(literals, row)
		}
		pieces = append(pieces, p)
		start = end
	}
	return pieces
}

// appendTokens writes a sorted list: one token as it is, several as a bracket.
func appendTokens(b []byte, list []token) []byte {
	if len(list) == 1 {
		return appendNumber(b, list[0].value(), list[0].width())
	}
	b = append(b, '[')
	eachSpan(readable(plainFirst(list)), func(s span) {
		b = append(s.append(b), ',')
	})
	b[len(b)-1] = ']'
	return b
}

// append writes the span as an item of a bracket.
func (s span) append(b []byte) []byte {
	b = appendNumber(b, s.first, s.width)
	if s.first == s.last {
		return b
	}
	b = appendNumber(append(b, '-'), s.last, s.width)
	if s.step > 1 {
		b = strconv.AppendUint(append(b, '/'), s.step, 10)
	}
	return b
}

// readable writes numbers that need no padding with or without padded ones, whichever makes
// the list shorter; if neither does, inRunOnly decides.
func readable(list []token) []token {
	best := adopt(list, inRunOnly)
	if !mixed(list) {
		return best
	}
	size := listSize(best)
	for _, rule := range []adoption{all, none, firstRun} {
		other := adopt(list, rule)
		if n := listSize(other); n < size {
			best, size = other, n
		}
	}
	return best
}

// listSize returns the length of a list's text, with a comma for each item.
func listSize(list []token) int {
	size := 0
	eachSpan(list, func(s span) {
		size += 1 + max(s.width, digits(s.first))
		if s.first != s.last {
			size += 1 + max(s.width, digits(s.last))
		}
		if s.step > 1 {
			size += 1 + digits(s.step)
		}
	})
	return size
}

// minStepped is the minimum number of equally spaced numbers that are written with a step:
// 1-9/2 instead of 1,3,5,7,9.
const minStepped = 5

// eachSpan splits a sorted list into spans.
func eachSpan(list []token, do func(span)) {
	for len(list) > 0 {
		n, step := 1, uint64(1)
		if next := list[1:]; len(next) > 0 && next[0].width() == list[0].width() {
			step = uint64(next[0] - list[0])
			n = evenly(list, token(step))
			if step > 1 && n < minStepped {
				n, step = 1, 1
			}
		}
		do(span{list[0].value(), list[n-1].value(), step, list[0].width()})
		list = list[n:]
	}
}

// evenly counts how many of the first tokens are one step apart. Tokens of different widths
// never are: the values of one width span less than the distance to the next width.
func evenly(list []token, step token) int {
	n := 2
	for n < len(list) && list[n]-list[n-1] == step {
		n++
	}
	return n
}
