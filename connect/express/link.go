package express

import (
	"net"
	"time"

	"shoal/sshwire"
)

// A link is one connection: the stream of bytes, the protocol's state, and how
// much of our side has left.
type link struct {
	conn    net.Conn
	client  *sshwire.Client
	written uint64 // bytes that the kernel has taken
	execEnd uint64 // written when the command has left whole; 0: it was never to leave
}

// execQueued notes that the command stands at the end of the output. While a key
// exchange goes on it stands behind it: then it counts as sent too early, never
// too late.
func (l *link) execQueued() {
	l.execEnd = max(1, l.written+uint64(len(l.client.Output())))
}

// execLeft says whether the server may have got the command: a packet that is
// not whole cannot be opened.
func (l *link) execLeft() bool { return l.execEnd > 0 && l.written >= l.execEnd }

// flush writes what is to be sent, until the deadline that conn has.
func (l *link) flush() error {
	for len(l.client.Output()) > 0 {
		n, err := l.conn.Write(l.client.Output())
		l.sent(n)
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *link) sent(n int) {
	l.written += uint64(max(n, 0))
	l.client.Sent(max(n, 0))
}

// hangUp says goodbye, if that takes no time, and closes.
func (l *link) hangUp() {
	l.client.Disconnect()
	_ = l.conn.SetWriteDeadline(time.Now().Add(goodbye))
	_ = l.flush()
	_ = l.conn.Close()
}

// goodbye is how long a last message may take; it fits into the socket's buffer
// unless the server has stopped reading.
const goodbye = time.Millisecond
