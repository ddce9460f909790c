package client

import (
	"net"
	"time"

	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
)

// A link is one connection: the stream of bytes and the protocol's state.
type link struct {
	conn   net.Conn
	client *wire.Client
	exec   *ssh.Execution // of the attempt: told of every byte that leaves
}

// execQueued notes that the command stands at the end of the output. While a key
// exchange goes on it stands behind it: then it counts as sent too early, never
// too late.
func (l *link) execQueued() { l.exec.Queue(len(l.client.Output())) }

// flush writes what is to be sent, until the deadline that conn has.
func (l *link) flush() error { return l.write(l.conn.Write) }

// write hands out what is to be sent, until an error. All that leaves passes
// here, so that nothing does after an outcome that says so.
func (l *link) write(to func([]byte) (int, error)) error {
	for len(l.client.Output()) > 0 && l.exec.Writing() {
		n, err := to(l.client.Output())
		l.exec.Wrote(n)
		l.client.Sent(max(n, 0))
		if err != nil {
			return err
		}
	}
	return nil
}

// hangUp says goodbye, if that takes no time and takes no command along, and
// closes.
func (l *link) hangUp() {
	if l.exec.CanFlush() {
		l.client.Disconnect()
		_ = l.conn.SetWriteDeadline(time.Now().Add(goodbye))
		_ = l.flush()
	}
	_ = l.conn.Close()
}

// disconnect is how long a last message may take; it fits into the socket's buffer
// unless the server has stopped reading.
const goodbye = time.Millisecond
