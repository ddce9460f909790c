package placeholder

import (
	"fmt"
	"strings"
)

// A SyntaxError is an error in a command's placeholders.
type SyntaxError struct {
	// Offset is the position of the error in the command, in bytes from 0.
	Offset int
	// Reason is the error text without position and hint.
	Reason string

	hint string
}

// Error returns the position (from 1) and the reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("command: position %d: %s", e.Offset+1, e.Reason)
}

// Hint returns one line of advice.
func (e *SyntaxError) Hint() string { return e.hint }

func unknownWord(offset int, word, inside string) *SyntaxError {
	return &SyntaxError{
		Offset: offset,
		Reason: fmt.Sprintf("there is no placeholder {%.40s}", word),
		hint: fmt.Sprintf("placeholders are {%s}; write {{%.40s}} for the text {%.40s}",
			strings.Join(words(), "}, {"), inside, inside),
	}
}

func unknownFilter(offset int, filter string) *SyntaxError {
	return &SyntaxError{
		Offset: offset,
		Reason: fmt.Sprintf("there is no filter %.40q", filter),
		hint:   "the only filter is sh, as in {host|sh}, which quotes for a POSIX shell",
	}
}

func halfEscaped(offset int, inside string) *SyntaxError {
	if word, _, _ := strings.Cut(inside, "|"); valueOf(word) == nil {
		return unknownWord(offset, word, inside)
	}
	return &SyntaxError{
		Offset: offset,
		Reason: fmt.Sprintf("{{%.40s} opens two braces and closes one", inside),
		hint: fmt.Sprintf("write {%.40s} for the placeholder, {{%.40s}} for the text {%.40s}, {{{%.40s} for a brace before the placeholder",
			inside, inside, inside, inside),
	}
}
