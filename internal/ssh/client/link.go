package client

import (
	"net"
	"time"

	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
)

// A link is one connection: the byte stream and the protocol's state.
type link struct {
	conn   net.Conn
	client *wire.Client
	exec   *ssh.Execution // of the current attempt: told of every byte that is sent
}

// execQueued reports to exec that the command is at the end of the output. During a
// key exchange the command is held back and follows later: then it counts as sent
// too early, never too late.
func (l *link) execQueued() { l.exec.Queue(len(l.client.Output())) }

// flush writes the pending output, until the deadline set on conn.
func (l *link) flush() error { return l.write(l.conn.Write) }

// write passes the pending output to the function to, until an error. Everything
// that is sent passes here, so that nothing is after an outcome that rules it out.
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

// hangUp sends DISCONNECT, unless it would block or follow a queued command, and
// closes the connection.
func (l *link) hangUp() {
	if l.exec.CanFlush() {
		l.client.Disconnect()
		_ = l.conn.SetWriteDeadline(time.Now().Add(goodbye))
		_ = l.flush()
	}
	_ = l.conn.Close()
}

// goodbye limits the write of DISCONNECT, which fits into the socket's buffer
// unless the server has stopped reading.
const goodbye = time.Millisecond
