package expr

import "fmt"

// quoteLimit bounds how much of an expression an error repeats, in bytes.
const quoteLimit = 80

// A SyntaxError says where and why an expression cannot be parsed. If the error is in a group's
// definition, Offset is the group's place in the given expression, and Reason includes the
// error in the definition.
type SyntaxError struct {
	// Expr is the whole expression.
	Expr string
	// Offset is the place of the error in Expr, in bytes from 0.
	Offset int
	// Reason is the error without place and hint.
	Reason string

	hint  string
	cause error // the error of a group's definition or source, or nil
}

// Error names expression, position (from 1) and reason.
func (e *SyntaxError) Error() string {
	shown, more := e.Expr, ""
	if len(shown) > quoteLimit {
		shown, more = shown[:quoteLimit], "…"
	}
	return fmt.Sprintf("host expression %q%s: position %d: %s", shown, more, e.Offset+1, e.Reason)
}

// Hint returns advice for the user, in one line.
func (e *SyntaxError) Hint() string { return e.hint }

// Unwrap returns the error of a group's source or definition, nil if the error is not in a
// group.
func (e *SyntaxError) Unwrap() error { return e.cause }
