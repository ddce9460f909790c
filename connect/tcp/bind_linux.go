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
