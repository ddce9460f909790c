package simfleet

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Blackhole returns an address on 127.0.0.1 that drops every SYN (faults.md T02)
// until free is called. It is there on Linux only; elsewhere the error is
// errors.ErrUnsupported.
func Blackhole() (addr netip.AddrPort, free func() error, err error) {
	listener, addr, err := boundSocket()
	if err != nil {
		return addr, nil, fmt.Errorf("making a black hole: %w", err)
	}
	fds := []int{listener}
	free = func() error {
		var errs []error
		for _, fd := range fds {
			errs = append(errs, unix.Close(fd))
		}
		return errors.Join(errs...)
	}
	if err := unix.Listen(listener, 0); err != nil {
		_ = free()
		return addr, nil, fmt.Errorf("making a black hole: %w", err)
	}
	// A backlog of 0 still holds one connection. Whatever finds no room stays
	// in SYN_SENT, so that one connect too many does no harm.
	for range 2 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			fds = append(fds, fd)
			err = unix.Connect(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())})
		}
		if err != nil && !errors.Is(err, unix.EINPROGRESS) {
			_ = free()
			return addr, nil, fmt.Errorf("filling a black hole: %w", err)
		}
	}
	return addr, free, nil
}
