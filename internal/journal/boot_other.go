//go:build !linux && !darwin

package journal

// bootID returns an identifier of the current boot of the machine, or "" if it is
// unknown.
func bootID() string { return "" }
