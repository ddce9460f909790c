package client

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck acknowledges received data immediately. sshd before 10.1 uses Nagle's
// algorithm until the command runs: when it sends two packets in a row, our delayed
// acknowledgement would hold back the second for 40 ms. The kernel resets the
// option, so it is set after each read of a handshake with such a server.
func quickAck(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}

// descriptor returns access to a connection's descriptor, or nil.
func descriptor(c net.Conn) syscall.RawConn {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
