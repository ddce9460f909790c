package client

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck acknowledges what was read at once. sshd before 10.1 keeps Nagle's
// algorithm on until the command runs: where a step of ours follows a step of
// its own, our delayed acknowledgement would hold its next packet for 40 ms.
// The kernel forgets the option, so it is set after each read of a handshake
// with such a server.
func quickAck(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}

// descriptor gives access to a connection's descriptor, nil where it has none.
func descriptor(c net.Conn) syscall.RawConn {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
