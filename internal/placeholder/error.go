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

func unknownWord(offset int, word string) *SyntaxError {
	return &SyntaxError{
		Offset: offset,
		Reason: fmt.Sprintf("there is no placeholder {%.40s}", word),
		hint:   fmt.Sprintf("placeholders are {%s}; --no-placeholders replaces none", strings.Join(words(), "}, {")),
	}
}

func unknownFilter(offset int, filter string) *SyntaxError {
	return &SyntaxError{
		Offset: offset,
		Reason: fmt.Sprintf("there is no filter %.40q", filter),
		hint:   "the only filter is sh, as in {host|sh}, which quotes for a POSIX shell",
	}
}
