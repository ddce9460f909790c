package expr_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// randomExpr returns an expression in which operands meet often enough for
// operators to do something.
func randomExpr(r *rand.Rand) string {
	var b strings.Builder
	for i := range 1 + r.IntN(5) {
		if i > 0 {
			b.WriteString([]string{",", ",", "!", "&", "^", " ! ", ", "}[r.IntN(7)])
		}
		b.WriteString(randomOperand(r))
	}
	return b.String()
}

func randomOperand(r *rand.Rand) string {
	switch r.IntN(12) {
	case 0:
		return []string{"@web", "@db", "@odd", "@r[1-2]", "@rack:a", "@rack:b", "@*", "@rack:*", "@none", "@spare"}[r.IntN(10)]
	case 1:
		return []string{"*", "web*", "n?", "*[1-3]", "r[1-2]*", "*-*", "web[1-5]*", "?b[1-2]-?", "nothing*"}[r.IntN(9)]
	case 2:
		return []string{"a", "b", "other", "n", "web"}[r.IntN(5)]
	case 3, 4:
		return "n" + randomBracket(r) + []string{"", "-ib0", "x", ".example.org"}[r.IntN(4)]
	case 5, 6:
		return "r" + randomBracket(r) + "n" + randomBracket(r)
	case 7:
		return "a" + smallBracket(r) + "b" + smallBracket(r) + "c" + smallBracket(r)
	case 8:
		return "n" + randomNumber(r) + randomBracket(r) // digits in front
	default:
		return "n" + randomBracket(r)
	}
}

// smallBracket returns the numbers of a small cube.
func smallBracket(r *rand.Rand) string {
	return []string{"[1-2]", "[1-3]", "[2-3]", "1", "2", "[1,3]"}[r.IntN(6)]
}

func randomNumber(r *rand.Rand) string {
	return fmt.Sprintf("%0*d", 1+r.IntN(3), r.IntN(24))
}

// randomBracket returns ranges, or a number.
func randomBracket(r *rand.Rand) string {
	if r.IntN(5) == 0 {
		return randomNumber(r)
	}
	var items []string
	width := []int{1, 1, 1, 2, 3}[r.IntN(5)]
	for range 1 + r.IntN(3) {
		first := r.IntN(30)
		last := first + r.IntN(12)
		switch r.IntN(5) {
		case 0:
			items = append(items, fmt.Sprintf("%0*d", width, first))
		case 1:
			items = append(items, fmt.Sprintf("%0*d-%0*d/%d", width, first, width, last, 1+r.IntN(4)))
		default:
			items = append(items, fmt.Sprintf("%0*d-%0*d", width, first, width, last))
		}
	}
	return "[" + strings.Join(items, ",") + "]"
}

// mutated changes a few characters, to see what is refused.
func mutated(r *rand.Rand, expr string) string {
	const characters = "[]-,,!&^0019/ @:*?a"
	b := []byte(expr)
	for range 1 + r.IntN(2) {
		at := r.IntN(len(b))
		c := characters[r.IntN(len(characters))]
		switch r.IntN(3) {
		case 0:
			b[at] = c
		case 1:
			b = append(b[:at], append([]byte{c}, b[at:]...)...)
		default:
			b = append(b[:at], b[at+1:]...)
		}
		if len(b) == 0 {
			return "a"
		}
	}
	return string(b)
}
