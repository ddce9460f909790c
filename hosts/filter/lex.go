package filter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"shoal/hosts/internal/problem"
)

// A SyntaxError says where and why an expression cannot be read.
type SyntaxError struct {
	// Offset is the place of the fault, in bytes from 0.
	Offset int
	// Reason is what is wrong, without the place.
	Reason string

	hint string
}

// Error names the position, from 1, and the reason.
func (e *SyntaxError) Error() string { return fmt.Sprintf("position %d: %s", e.Offset+1, e.Reason) }

// Hint says what to do about it, in one line.
func (e *SyntaxError) Hint() string { return e.hint }

func fail(offset int, hint, format string, args ...any) *SyntaxError {
	return &SyntaxError{Offset: offset, Reason: fmt.Sprintf(format, args...), hint: hint}
}

// A token is a word, a quoted text or an operator.
type token struct {
	offset int
	kind   tokenKind
	text   string // of an operator itself; of a quoted text what it stands for
}

type tokenKind uint8

const (
	end tokenKind = iota
	word
	quoted
	operator
)

func (t token) String() string {
	if t.kind == end {
		return "the end"
	}
	return fmt.Sprintf("%q", problem.Bounded(t.text))
}

// is reports whether the token is that operator.
func (t token) is(op string) bool { return t.kind == operator && t.text == op }

// operators, the longer before those that they begin with.
var operators = [...]string{"&&", "||", "==", "!=", "=~", "!~", "!", "(", ")"}

const quoteHint = `quote a value that has blanks or any of ()!&|="' in it`

// next reads the token at offset and gives where it ends.
func next(text string, offset int) (token, int, *SyntaxError) {
	for offset < len(text) && strings.IndexByte(" \t", text[offset]) >= 0 {
		offset++
	}
	rest := text[offset:]
	if rest == "" {
		return token{offset: offset}, offset, nil
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			return token{offset, operator, op}, offset + len(op), nil
		}
	}
	switch rest[0] {
	case '\'', '"':
		return quotedText(text, offset)
	case '=':
		return token{}, 0, fail(offset, "write == to compare", "a single =")
	case '&', '|':
		return token{}, 0, fail(offset, "write && for and, || for or", "a single %c", rest[0])
	}
	size := 0
	for _, r := range rest {
		if r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("()!&|=\"'~", r) {
			break
		}
		size += utf8.RuneLen(r)
	}
	if size == 0 {
		r, _ := utf8.DecodeRuneInString(rest)
		return token{}, 0, fail(offset, quoteHint, "character %q", r)
	}
	return token{offset, word, rest[:size]}, offset + size, nil
}

// quotedText reads a text in quotes. In it \ stands before a quote of that kind or
// another \; before anything else it is itself, so that a regular expression
// needs no doubling.
func quotedText(text string, offset int) (token, int, *SyntaxError) {
	quote := text[offset]
	var b strings.Builder
	for i := offset + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return token{offset, quoted, b.String()}, i + 1, nil
		case c == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return token{}, 0, fail(offset, fmt.Sprintf("end it with %c", quote), "a quote that is not closed")
}
