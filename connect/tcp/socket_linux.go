package tcp

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindTo has a socket use one interface (SO_BINDTODEVICE).
func bindTo(raw syscall.RawConn, name string) error {
	var err error
	if e := raw.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), name) }); e != nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("binding to the interface %q: %w", name, err)
	}
	return nil
}

// boundUnacknowledged sets TCP_USER_TIMEOUT (RFC 5482), so that writes to a host
// that has vanished end.
func boundUnacknowledged(raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		// Where the kernel does not know it, the deadlines do.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged.Milliseconds()))
	})
}
