package placeholder

import (
	"fmt"
	"strings"
)

// A SyntaxError says where and why a command cannot be read as a template.
type SyntaxError struct {
	// Offset is the place of the fault in the command, in bytes from 0.
	Offset int
	// Reason is what is wrong, without place and hint.
	Reason string

	hint string
}

// Error names position (from 1) and reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("command: position %d: %s", e.Offset+1, e.Reason)
}

// Hint says what to do about it, in one line.
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
