//go:build !linux && !darwin

package engine

// raiseFileLimit returns no limit: this system reports none.
func raiseFileLimit() (limit uint64, ok bool) { return 0, false }
