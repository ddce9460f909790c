//go:build unix

package simfleet

import (
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// RefusedPort returns an address on 127.0.0.1 that answers every SYN with RST
// (faults.md T03), and keeps anybody else from listening there until free is
// called.
func RefusedPort() (addr netip.AddrPort, free func() error, err error) {
	fd, addr, err := boundSocket()
	if err != nil {
		return addr, nil, err
	}
	return addr, func() error { return unix.Close(fd) }, nil
}

// boundSocket returns a TCP socket bound to a free port of 127.0.0.1.
func boundSocket() (fd int, addr netip.AddrPort, err error) {
	syscall.ForkLock.RLock() // no program that is started meanwhile inherits it
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, addr, fmt.Errorf("making a socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		_ = unix.Close(fd)
		return 0, addr, fmt.Errorf("binding a socket: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		_ = unix.Close(fd)
		return 0, addr, fmt.Errorf("asking for a socket's port: %w", err)
	}
	v4, ok := name.(*unix.SockaddrInet4)
	if !ok {
		_ = unix.Close(fd)
		return 0, addr, fmt.Errorf("asking for a socket's port: %T is no IPv4 address", name)
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), uint16(v4.Port)), nil // a port
}
