//go:build !linux

package console

import "golang.org/x/sys/unix"

// ioctl requests for a terminal's mode; see tty(4).
const (
	GetTermios = unix.TIOCGETA
	SetTermios = unix.TIOCSETA
	setFlushed = unix.TIOCSETAF // after discarding pending input
)
