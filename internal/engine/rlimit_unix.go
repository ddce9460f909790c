//go:build linux || darwin

package engine

import "syscall"

// raiseFileLimit raises the soft limit on open files to the hard one and returns
// the limit then in force.
func raiseFileLimit() (limit uint64, ok bool) {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 0, false
	}
	if r.Cur < r.Max {
		raised := syscall.Rlimit{Cur: r.Max, Max: r.Max}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			r.Cur = r.Max
		}
	}
	return r.Cur, true
}
