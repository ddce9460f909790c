//go:build !linux && !darwin

package engine

// raiseFileLimit knows of no limit here.
func raiseFileLimit() (limit uint64, ok bool) { return 0, false }
