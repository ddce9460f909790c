//go:build !linux

package cli

import "golang.org/x/sys/unix"

// The requests of tty(4) for a terminal's mode.
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
	setFlushed = unix.TIOCSETAF // after what was typed has been thrown away
)
