package tcp

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindTo binds a socket to one interface (SO_BINDTODEVICE).
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

// boundUnacknowledged limits how long writes to a vanished host block.
func boundUnacknowledged(raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) { setUserTimeout(int(fd)) })
}

// setUserTimeout sets TCP_USER_TIMEOUT (RFC 5482). Errors are ignored: the
// deadlines of the phases remain.
func setUserTimeout(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged.Milliseconds()))
}
