package console

import "golang.org/x/sys/unix"

// ioctl requests for a terminal's mode; see ioctl_tty(2).
const (
	GetTermios = unix.TCGETS
	SetTermios = unix.TCSETS
	setFlushed = unix.TCSETSF // after discarding pending input
)
