//go:build !linux

package console

import "golang.org/x/sys/unix"

// The requests of tty(4) for a terminal's mode.
const (
	GetTermios = unix.TIOCGETA
	SetTermios = unix.TIOCSETA
	setFlushed = unix.TIOCSETAF // after what was typed has been thrown away
)
