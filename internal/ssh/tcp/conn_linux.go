package tcp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is a connection made by direct.
type socket struct {
	file   *os.File
	remote netip.AddrPort
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.file.Read(p)
	return n, s.failed(err)
}

// ReadReady implements ReadyReader.
func (s *socket) ReadReady(buffers *sync.Pool) (buf *[]byte, n int, err error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return nil, 0, s.failed(err)
	}
	var failure error
	waiting := raw.Read(func(fd uintptr) (done bool) {
		buf = buffers.Get().(*[]byte)
		for {
			n, failure = unix.Read(int(fd), *buf)
			switch {
			case failure == nil && n == 0:
				failure = io.EOF
			case failure == unix.EINTR:
				continue
			}
			break
		}
		if failure != nil {
			buffers.Put(buf)
			buf, n = nil, 0
		}
		return failure != unix.EAGAIN
	})
	switch {
	case waiting != nil && !errors.Is(waiting, os.ErrDeadlineExceeded):
		return nil, 0, net.ErrClosed // internal/poll has its own error for it
	case waiting != nil:
		return nil, 0, s.failed(&os.PathError{Op: "read", Err: waiting})
	case failure == nil || errors.Is(failure, io.EOF):
		return buf, n, failure
	}
	return nil, 0, s.failed(&os.PathError{Op: "read", Err: failure})
}

func (s *socket) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	return n, s.failed(err)
}

func (s *socket) Close() error { return s.failed(s.file.Close()) }

// failed translates os.ErrClosed to net.ErrClosed, and has other errors of the file
// name the peer.
func (s *socket) failed(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	if f, ok := errors.AsType[*os.PathError](err); ok {
		return &net.OpError{Op: f.Op, Net: "tcp", Addr: s.RemoteAddr(), Err: f.Err}
	}
	return err
}

func (s *socket) SetDeadline(t time.Time) error      { return unset(s.file.SetDeadline(t)) }
func (s *socket) SetReadDeadline(t time.Time) error  { return unset(s.file.SetReadDeadline(t)) }
func (s *socket) SetWriteDeadline(t time.Time) error { return unset(s.file.SetWriteDeadline(t)) }

// unset translates every error of setting a deadline to net.ErrClosed: package os
// has no exported error for it, and await has already shown that the file supports
// deadlines.
func unset(err error) error {
	if err != nil {
		return net.ErrClosed
	}
	return nil
}

func (s *socket) SyscallConn() (syscall.RawConn, error) { return s.file.SyscallConn() }

func (s *socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// LocalAddr returns the local address from the kernel, or the zero address.
func (s *socket) LocalAddr() net.Addr {
	var local net.TCPAddr
	if raw, err := s.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			if a, err := unix.Getsockname(int(fd)); err == nil {
				local = *net.TCPAddrFromAddrPort(addrPort(a))
			}
		})
	}
	return &local
}

func descriptor(c net.Conn) (syscall.RawConn, bool) {
	var s syscall.Conn
	switch c := c.(type) {
	case *socket:
		s = c
	case *net.TCPConn:
		s = c
	default:
		return nil, false
	}
	raw, err := s.SyscallConn()
	return raw, err == nil
}
