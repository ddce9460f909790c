package console

import "golang.org/x/sys/unix"

// The requests of ioctl_tty(2) for a terminal's mode.
const (
	GetTermios = unix.TCGETS
	SetTermios = unix.TCSETS
	setFlushed = unix.TCSETSF // after what was typed has been thrown away
)
