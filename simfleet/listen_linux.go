package simfleet

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// On Linux the whole of 127.0.0.0/8 is local. Host i is at 127.1.0.1 + i, so
// that what uses 127.0.0.1 stays apart. MaxHosts ends at 127.255.255.254.
const (
	MaxHosts    = 0x7FFFFFFE - firstHost + 1 // 16,711,678
	firstHost   = 0x7F010001
	listenerAny = "0.0.0.0"
)

// bindLoopback ties the listener to the loopback device. A kernel that does not
// let us (before 5.7 that took a privilege) is no obstacle: every connection's
// local address is checked anyway.
func bindLoopback(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo")
	})
}
