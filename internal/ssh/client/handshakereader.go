package client

import (
	"net"
	"sync"

	"shoal/internal/ssh/tcp"
)

// A handshakeReader reads a connection during its handshake. While it waits it holds no buffer if the
// connection is a bare socket, and otherwise a small one until the first bytes have come: thousands
// of connections may wait for servers that say nothing yet.
type handshakeReader struct {
	dialer *Dialer
	conn   net.Conn

	buf  *[]byte    // nil: none is held
	pool *sync.Pool // of buf
	some bool       // bytes have come
}

// read reads once. The bytes are valid until release.
func (r *handshakeReader) read() ([]byte, error) {
	if c, ok := r.conn.(tcp.ReadyReader); ok {
		buf, n, err := c.ReadReady(&r.dialer.small)
		if n == 0 {
			return nil, err
		}
		r.buf, r.pool = buf, &r.dialer.small
		return (*buf)[:n], err
	}
	if r.buf == nil {
		r.pool = &r.dialer.first
		if r.some {
			r.pool = &r.dialer.small
		}
		r.buf = r.pool.Get().(*[]byte)
	}
	n, err := r.conn.Read(*r.buf)
	r.some = r.some || n > 0
	return (*r.buf)[:n], err
}

// release gives the buffer back.
func (r *handshakeReader) release() {
	if r.buf != nil {
		r.pool.Put(r.buf)
		r.buf = nil
	}
}
