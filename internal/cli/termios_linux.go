package cli

import "golang.org/x/sys/unix"

// The requests of ioctl_tty(2) for a terminal's mode.
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
	setFlushed = unix.TCSETSF // after what was typed has been thrown away
)
