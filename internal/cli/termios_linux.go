package cli

import "golang.org/x/sys/unix"

// The requests of ioctl_tty(2) for a terminal's mode.
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)
