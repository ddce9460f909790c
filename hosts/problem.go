package hosts

import "shoal/hosts/internal/problem"

// A Problem is one entry that cannot be used.
type Problem = problem.Problem

// Problems holds all reasons why an inventory cannot be used. Load returns no
// other error.
type Problems = problem.Problems

// keptText bounds how much of an invalid text is kept, in bytes.
const keptText = problem.KeptText

// A fault is the reason why a text cannot be used, without its place.
type fault struct{ reason, hint string }

func (f *fault) Error() string { return f.reason }

// Hint returns advice for the user, in one line.
func (f *fault) Hint() string { return f.hint }
