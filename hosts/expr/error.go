package expr

import "fmt"

// quoteLimit bounds how much of an expression an error repeats, in bytes.
const quoteLimit = 80

// A SyntaxError says where and why an expression cannot be read. Where a group
// is at fault, it names the group's place in the expression that was given, and
// its Reason goes on with what is wrong in the definition.
type SyntaxError struct {
	// Expr is the whole expression.
	Expr string
	// Offset is the place of the fault in Expr, in bytes from 0.
	Offset int
	// Reason is what is wrong, without place and hint.
	Reason string

	hint  string
	cause error // of a group's definition or source, or nil
}

// Error names expression, position (from 1) and reason.
func (e *SyntaxError) Error() string {
	shown, more := e.Expr, ""
	if len(shown) > quoteLimit {
		shown, more = shown[:quoteLimit], "…"
	}
	return fmt.Sprintf("host expression %q%s: position %d: %s", shown, more, e.Offset+1, e.Reason)
}

// Hint says what to do about it, in one line.
func (e *SyntaxError) Hint() string { return e.hint }

// Unwrap gives what a group's source said, or the fault in its definition; nil
// where no group is at fault.
func (e *SyntaxError) Unwrap() error { return e.cause }
