package debug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
	"shoal/internal/ui"
)

// A tracer records every message of the connections to one target with its
// round trip. A round trip begins with the first write after a read.
type tracer struct {
	network ssh.Network
	attempt *ssh.Attempt
	began   time.Time

	mu      sync.Mutex
	lines   []traceLine
	unsent  int // number of the last lines whose write has not happened yet
	trip    int
	writing bool
	exit    int // the round trip of the exit status; 0: none received
}

type traceLine struct {
	at      time.Duration
	trip    int
	phase   fleet.Phase
	message wire.Message
}

func newTracer(n ssh.Network) *tracer { return &tracer{network: n, began: time.Now()} }

// Open implements ssh.Network. The TCP handshake is the first round trip.
func (t *tracer) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	c, err := t.network.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trip, t.writing, t.unsent = 1, false, 0
	t.add(wire.Message{Out: true, Name: "TCP", Detail: fmt.Sprintf("connected to %v", c.RemoteAddr())})
	return &tracedConn{c, t}, nil
}

// message records one message. Sent messages are reported before they are
// written.
func (t *tracer) message(m wire.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(m)
	if m.Out {
		t.unsent++
	}
	if !m.Out && (m.Request == "exit-status" || m.Request == "exit-signal") {
		t.exit = t.trip
	}
}

func (t *tracer) add(m wire.Message) {
	t.lines = append(t.lines, traceLine{time.Since(t.began), t.trip, t.attempt.Timeline.Phase(), m})
}

func (t *tracer) wrote() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.writing {
		t.writing = true
		t.trip++
	}
	for i := len(t.lines) - 1; i >= 0 && t.unsent > 0; i-- {
		if l := &t.lines[i]; l.message.Out {
			l.trip = t.trip
			t.unsent--
		}
	}
	t.unsent = 0
}

func (t *tracer) read() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writing = false
}

// A tracedConn reports reads and writes to its tracer.
type tracedConn struct {
	net.Conn
	tracer *tracer
}

// Read implements net.Conn.
func (c *tracedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.tracer.read()
	}
	return n, err
}

// Write implements net.Conn.
func (c *tracedConn) Write(p []byte) (int, error) {
	c.tracer.wrote()
	return c.Conn.Write(p)
}

// SyscallConn returns the underlying descriptor, so that the client uses the
// same I/O path as without a tracer.
func (c *tracedConn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// print writes the trace as a table, followed by the outcome.
func (t *tracer) print(w io.Writer, end fleet.End) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := fmt.Fprintf(w, "%8s %4s    %-8s %-26s %6s  %s\n", "ms", "trip", "phase", "message", "bytes", "about"); err != nil {
		return err
	}
	for _, l := range t.lines {
		arrow := "<-"
		if l.message.Out {
			arrow = "->"
		}
		_, err := fmt.Fprintf(w, "%8s %4d %s %-8s %-26s %6d  %s\n", milliseconds(l.at), l.trip, arrow,
			l.phase, l.message.Name, l.message.Size, ui.Visible(l.message.Detail))
		if err != nil {
			return err
		}
	}
	status := ""
	if end.Flags.Has(fleet.FlagExitKnown) && end.Signal == "" {
		status = fmt.Sprintf(", exit status %d", end.Status)
	}
	if t.exit > 0 {
		status += fmt.Sprintf(", %d round trips from SYN to the exit status", t.exit)
	}
	_, err := fmt.Fprintf(w, "%s%s\n", end.Outcome, status)
	return err
}
