package expr

import "slices"

// For folding, numbers without a leading zero lose their width: they can be written in
// ranges of any width, as 9-10 and as 09-10. They are sorted before those with padding,
// by value.

// plainFirst returns a sorted list of several tokens in this form.
func plainFirst(list []token) []token {
	result := make([]token, 0, len(list))
	eachWidth(list, func(same []token) {
		for _, t := range same[zeros(same):] {
			result = append(result, token(t.value()))
		}
	})
	eachWidth(list, func(same []token) {
		result = append(result, same[:zeros(same)]...)
	})
	return result
}

// zeros counts the tokens of one width that begin with a zero of padding.
func zeros(same []token) int {
	width := same[0].width()
	if width == 1 {
		return 0
	}
	n, _ := slices.BinarySearch(same, padded(powerOfTen(width-1), width))
	return n
}

// An adoption returns how many of the unpadded numbers free[from:to], which have as many
// digits as the padded ones, are written among the padded ones.
type adoption func(free, padded []token, from, to int) int

func all(_, _ []token, from, to int) int { return to - from }
func none(_, _ []token, _, _ int) int    { return 0 }

// firstRun takes those that are consecutive from 10, 100 and so on.
func firstRun(free, _ []token, from, to int) int {
	n := 1
	for from+n < to && free[from+n] == free[from]+token(n) {
		n++
	}
	return n
}

// inRunOnly takes them if the padded numbers lead up to them, or if there are no shorter
// unpadded numbers, which would suggest that none is padded.
func inRunOnly(free, padded []token, from, to int) int {
	if from == 0 || leadsUp(free, padded, from) {
		return to - from
	}
	return 0
}

// mixed reports whether a sorted list holds numbers with padding and without.
func mixed(list []token) bool {
	return list[0].width() == 0 && list[len(list)-1].width() > 0
}

// adopt moves numbers that need no padding among padded ones of the same length, so that
// 099 and 100 become 099-100. The result is sorted too.
func adopt(list []token, rule adoption) []token {
	if !mixed(list) {
		return list
	}
	plain, _ := slices.BinarySearch(list, token(1<<widthShift))
	free, padded := list[:plain], list[plain:]
	result := make([]token, 0, len(list))
	at := 0 // index of the first element of free that is not in the result yet
	eachWidth(padded, func(same []token) {
		from, to := lengthRange(free, same[0].width())
		if from < to {
			result = append(result, free[at:from]...)
			at = from + rule(free, same, from, to)
		}
	})
	result = append(result, free[at:]...)
	eachWidth(padded, func(same []token) {
		result = append(result, same...)
		width := same[0].width()
		from, to := lengthRange(free, width)
		if from == to {
			return
		}
		for _, t := range free[from : from+rule(free, same, from, to)] {
			result = append(result, t|token(width)<<widthShift)
		}
	})
	return result
}

// eachWidth splits a sorted list by the widths of its tokens.
func eachWidth(list []token, do func(same []token)) {
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].width() == list[start].width() {
			end++
		}
		do(list[start:end])
		start = end
	}
}

// lengthRange returns the bounds of the numbers in free with this many digits.
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

// leadsUp reports whether the padded numbers end just below free[from] and the
// unpadded ones do not.
func leadsUp(free, padded []token, from int) bool {
	last := padded[len(padded)-1]
	return free[from].value() == last.value()+1 && free[from-1].value() != last.value()
}
