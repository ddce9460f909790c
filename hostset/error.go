package hostset

import "fmt"

// quoteLimit bounds how much of an expression an error repeats, in bytes.
const quoteLimit = 80

// A SyntaxError says where and why an expression cannot be read.
type SyntaxError struct {
	// Expr is the whole expression.
	Expr string
	// Offset is the place of the fault in Expr, in bytes from 0.
	Offset int
	// Reason is what is wrong, without place and hint.
	Reason string

	hint string
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
