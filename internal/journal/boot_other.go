//go:build !linux && !darwin

package journal

// bootID tells this start of the machine from others; "" where it is not known.
func bootID() string { return "" }
