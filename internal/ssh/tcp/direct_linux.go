package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxWellKnown is the largest port that no kernel assigns to outgoing connections.
const maxWellKnown = 1023

// direct connects to an IP address. It is equivalent to net.Dialer at half the CPU
// time: no goroutine watches ctx, and there are no superfluous system calls. ok is
// false if net.Dialer is to make the connection or to report the failure instead;
// nothing was sent then.
func direct(ctx context.Context, to netip.AddrPort, deadline time.Time) (conn net.Conn, ok bool, err error) {
	family, address := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()})
	if to.Addr().Is4() {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, false, nil
	}
	setUserTimeout(fd)
	// SSH writes complete messages: Nagle's algorithm would only delay them.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	switch err := unix.Connect(fd, address); err {
	case nil, unix.EINPROGRESS, unix.EINTR:
	case unix.EADDRNOTAVAIL, unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM: // local and possibly transient
		_ = unix.Close(fd)
		return nil, false, nil
	default:
		_ = unix.Close(fd)
		return nil, true, failed(to, os.NewSyscallError("connect", err))
	}
	file := os.NewFile(uintptr(fd), "tcp")
	if err := await(ctx, file, address, deadline); err != nil {
		_ = file.Close()
		return nil, true, failed(to, err)
	}
	if to.Port() > maxWellKnown && connectedToItself(fd, to) {
		_ = file.Close()
		return nil, false, nil
	}
	return &socket{file, to}, true, nil
}

// failed wraps err as net.Dialer does.
func failed(to netip.AddrPort, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
}

// await waits until the connection is established, the deadline passes or ctx ends.
func await(ctx context.Context, file *os.File, address unix.Sockaddr, deadline time.Time) error {
	if err := file.SetDeadline(deadline); err != nil {
		return err // the runtime cannot poll the file
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Write(func(fd uintptr) (done bool) {
		// A second connect returns the result of the first (connect(2)).
		switch err := unix.Connect(int(fd), address); err {
		case nil, unix.EISCONN:
			return true
		case unix.EALREADY, unix.EINPROGRESS, unix.EINTR:
			return false
		default:
			refused = os.NewSyscallError("connect", err)
			return true
		}
	})
	switch {
	case err != nil && errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case err != nil:
		return err
	case refused != nil:
		return refused
	case !stop():
		return context.Cause(ctx)
	}
	return file.SetDeadline(time.Time{})
}

// connectedToItself reports whether the socket is its own peer: on a connection to
// this machine the kernel may choose the destination port, on which nobody listens,
// as the source port.
func connectedToItself(fd int, to netip.AddrPort) bool {
	local, err := unix.Getsockname(fd)
	return err == nil && addrPort(local) == to
}

func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}
