//go:build !linux

package openssh

// awaitExit reports false: there is no portable way to wait without reaping. So process.stop
// may meet an id that was given to another group within the time between the two, which takes
// as many new processes as there are ids.
func awaitExit(int) bool { return false }
