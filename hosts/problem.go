package hosts

import "shoal/hosts/internal/problem"

// A Problem is one entry that cannot be used.
type Problem = problem.Problem

// Problems is every reason why an inventory cannot be used. Load returns no
// other error.
type Problems = problem.Problems

// keptText bounds what is kept of a text that cannot be used, in bytes.
const keptText = problem.KeptText

// A fault is why one text cannot be used, before its place is known.
type fault struct{ reason, hint string }

func (f *fault) Error() string { return f.reason }

// Hint says what to do about it, in one line.
func (f *fault) Hint() string { return f.hint }
