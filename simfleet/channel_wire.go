package simfleet

import (
	"errors"
	"io"

	"golang.org/x/crypto/ssh"

	"shoal/internal/ssh/wire"
)

var errNoAnswers = errors.New("requests that want an answer are not implemented")

// A wireChannel is an ssh.Channel of a wireServer.
type wireChannel struct {
	server  *wireServer
	number  wire.Channel
	session *session // nil: a forwarded connection

	// Under the server's mu.
	input  []byte // of the client, not yet read
	gotEOF bool
	closed bool // on both sides, or the connection has ended: the number is not ours any more
}

// gone ends the channel. The server's mu is held.
func (ch *wireChannel) gone() {
	w := ch.server
	ch.closed = true
	if w.channel(ch.number) == ch {
		w.channels[ch.number] = nil
	}
	if ch.session != nil {
		ch.session.leave()
	}
	w.changed.Broadcast()
}

// Read reads what the client sends to standard input.
func (ch *wireChannel) Read(p []byte) (int, error) {
	w := ch.server
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(ch.input) == 0 {
		if ch.gotEOF || ch.closed {
			return 0, io.EOF
		}
		w.changed.Wait()
	}
	n := copy(p, ch.input)
	if ch.input = ch.input[n:]; len(ch.input) == 0 {
		ch.input = nil
	}
	if !ch.closed {
		w.server.Consumed(ch.number, n)
		w.flushLocked()
	}
	return n, nil
}

func (ch *wireChannel) Write(p []byte) (int, error) { return ch.write(p, (*wire.Server).Send) }

// write returns when the connection has taken all of p.
func (ch *wireChannel) write(p []byte, send func(*wire.Server, wire.Channel, []byte) int) (int, error) {
	w := ch.server
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := 0
	for {
		if ch.closed {
			return sent, io.EOF
		}
		// A piece at a time: what waits in memory to be written is bounded.
		n := send(w.server, ch.number, p[sent:min(len(p), sent+largeRead)])
		sent += n
		flushed := w.flushLocked()
		switch {
		case sent == len(p):
			return sent, w.err
		case n == 0 && !ch.closed && !flushed: // while it flushed, room may have been made
			w.changed.Wait()
		}
	}
}

// tell does something that the client is told of.
func (ch *wireChannel) tell(do func()) error {
	w := ch.server
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch.closed {
		return io.EOF
	}
	do()
	w.flushLocked()
	return w.err
}

// together holds back what is to be sent until the result is called, so that it leaves at once. Nothing in between
// may wait for the client.
func (ch *wireChannel) together() (flush func()) {
	w := ch.server
	w.mu.Lock()
	w.corked++
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.corked--
		w.flushLocked()
		w.changed.Broadcast() // to settle
	}
}

// Close closes the channel.
func (ch *wireChannel) Close() error {
	return ch.tell(func() { ch.server.server.CloseChannel(ch.number) })
}

// CloseWrite sends EOF.
func (ch *wireChannel) CloseWrite() error {
	return ch.tell(func() { ch.server.server.SendEOF(ch.number) })
}

// SendRequest sends a request; none that wants an answer.
func (ch *wireChannel) SendRequest(name string, wantReply bool, payload []byte) (bool, error) {
	if wantReply {
		return false, errNoAnswers
	}
	return false, ch.tell(func() { ch.server.server.Tell(ch.number, name, payload) })
}

// Stderr is standard error.
func (ch *wireChannel) Stderr() io.ReadWriter { return wireStderr{ch} }

type wireStderr struct{ channel *wireChannel }

func (wireStderr) Read([]byte) (int, error) { return 0, io.EOF }

func (e wireStderr) Write(p []byte) (int, error) {
	return e.channel.write(p, (*wire.Server).SendStderr)
}

// quickOutput is more than a quick command may write.
const quickOutput = 64 << 10

// A heldChannel is a channel for a command that runs while the server's mu is held. It has room
// for all that is written.
type heldChannel struct{ *wireChannel }

func (h heldChannel) wire() (*wire.Server, wire.Channel) { return h.server.server, h.number }

func (h heldChannel) Write(p []byte) (int, error) {
	server, n := h.wire()
	return server.Send(n, p), nil
}

func (h heldChannel) Stderr() io.ReadWriter { return heldStderr(h) }

func (h heldChannel) Close() error {
	server, n := h.wire()
	server.CloseChannel(n)
	return nil
}

func (h heldChannel) CloseWrite() error {
	server, n := h.wire()
	server.SendEOF(n)
	return nil
}

func (h heldChannel) SendRequest(name string, _ bool, payload []byte) (bool, error) {
	server, n := h.wire()
	server.Tell(n, name, payload)
	return false, nil
}

type heldStderr heldChannel

func (heldStderr) Read([]byte) (int, error) { return 0, io.EOF }

func (h heldStderr) Write(p []byte) (int, error) {
	server, n := heldChannel(h).wire()
	return server.SendStderr(n, p), nil
}

var (
	_ ssh.Channel    = (*wireChannel)(nil)
	_ ssh.Channel    = heldChannel{}
	_ ssh.NewChannel = (*wireOpening)(nil)
)
