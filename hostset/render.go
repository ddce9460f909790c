package hostset

import (
	"slices"
	"strconv"
)

// render writes each row of the grid between the literals of its shape.
func render(literals []string, g grid) []piece {
	pieces := make([]piece, 0, g.rows())
	var text, first []byte
	var list []token
	for i := range int32(g.rows()) {
		text, first = append(text[:0], literals[0]...), append(first[:0], literals[0]...)
		for dim, c := range g.row(i) {
			list = g.sets.appendTokens(list[:0], c)
			text = appendTokens(text, list)
			first = appendNumber(first, list[0].value(), list[0].width())
			text, first = append(text, literals[dim+1]...), append(first, literals[dim+1]...)
		}
		pieces = append(pieces, piece{first: string(first), text: string(text)})
	}
	return pieces
}

// appendTokens writes a sorted list: one as it is, several as a bracket.
func appendTokens(b []byte, list []token) []byte {
	if len(list) == 1 {
		return appendNumber(b, list[0].value(), list[0].width())
	}
	b = append(b, '[')
	for i, r := range runs(list) {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.append(b)
	}
	return append(b, ']')
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

// runs gives the fewest spans that a person reads with ease.
func runs(list []token) []span {
	classes := adopt(list)
	spans := make([]span, 0, 4)
	for start := 0; start < len(classes); {
		end := start + 1
		for end < len(classes) && classes[end].width() == classes[start].width() {
			end++
		}
		spans = appendRuns(spans, classes[start:end])
		start = end
	}
	return spans
}

// minStepped is the number of equally spaced numbers from which on they are
// written with a step: 1-9/2 and not 1,3,5,7,9.
const minStepped = 5

// appendRuns cuts a sorted list of one width into spans.
func appendRuns(spans []span, list []token) []span {
	width := list[0].width()
	for len(list) > 0 {
		length, step := 1, uint64(1)
		if len(list) > 1 {
			step = uint64(list[1] - list[0])
			for length = 2; length < len(list) && uint64(list[length]-list[length-1]) == step; length++ {
			}
			if step > 1 && length < minStepped {
				length, step = 1, 1
			}
		}
		spans = append(spans, span{list[0].value(), list[length-1].value(), step, width})
		list = list[length:]
	}
	return spans
}

// adopt lets numbers that need no padding stand among padded ones of the same
// length, so that 099 and 100 become 099-100: both belong to either. They go
// over where padded numbers lead up to them, or where nothing shorter without
// padding speaks for the other reading. The result is sorted again.
func adopt(list []token) []token {
	plain := len(list)
	if last := list[len(list)-1]; last.width() > 0 {
		plain, _ = slices.BinarySearch(list, token(1<<widthShift))
	}
	if plain == 0 || plain == len(list) {
		return list
	}
	free, padded := list[:plain], list[plain:]
	var result []token
	for start := 0; start < len(padded); {
		width := padded[start].width()
		end := start
		for end < len(padded) && padded[end].width() == width {
			end++
		}
		result = append(result, padded[start:end]...)
		from, to := lengthRange(free, width)
		if from < to && (from == 0 || leadsUp(free, padded[start:end], from)) {
			for _, t := range free[from:to] {
				result = append(result, t|token(width)<<widthShift)
			}
			free = slices.Delete(slices.Clone(free), from, to)
		}
		start = end
	}
	result = append(result, free...)
	slices.Sort(result)
	return result
}

// lengthRange gives the bounds of the numbers in free with this many digits.
func lengthRange(free []token, width int) (from, to int) {
	from, _ = slices.BinarySearch(free, token(powerOfTen(width-1)))
	to, _ = slices.BinarySearch(free, token(powerOfTen(width)))
	return from, to
}

func powerOfTen(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

// leadsUp says that the padded numbers end just below free[from] while the
// unpadded ones do not.
func leadsUp(free, padded []token, from int) bool {
	last := padded[len(padded)-1]
	return free[from].value() == last.value()+1 && free[from-1].value() != last.value()
}
