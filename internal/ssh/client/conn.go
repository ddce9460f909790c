package client

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"shoal/fleet"
)

// A conn is an authenticated connection. It implements ssh.Conn.
//
//	Start → begin → eventDrivers: an event loop, or a goroutine that reads
//	          bytes → link → events → session → its end → done
type conn struct {
	dialer  *Dialer
	session *session
	proven  bool // the host cache may learn

	mu      sync.Mutex
	started bool // only the session's driver closes the connection, which may use its descriptor
	closed  bool
	wake    func() // tells the driver that closed is set; nil without a driver
}

func newConn(h *handshake) *conn {
	h.session.optimistic = h.plan.guessExec
	return &conn{dialer: h.dialer, session: h.session, proven: h.proven}
}

// errClosedHere is the cause of an attempt abandoned by Close.
var errClosedHere = errors.New("the connection was closed on this side")

// Start implements ssh.Conn.
func (c *conn) Start(ctx context.Context, done func(fleet.End)) {
	switch closed := c.begin(); {
	case ctx.Err() != nil:
		c.session.interrupted(ctx) // so that nothing more is sent
	case closed:
		c.session.stopFor(fleet.ReasonInterrupted, errClosedHere)
	default:
		c.session.intend()
	}
	c.dialer.parking.park(ctx, c, done)
}

// begin passes the closing of the connection to the driver, and reports whether
// Close was called already.
func (c *conn) begin() (closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = true
	return c.closed
}

// Close implements ssh.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
	case c.wake != nil:
		c.wake()
	case !c.started:
		c.session.link.hangUp()
	}
	c.closed = true
	return nil
}

// driven sets the function that Close calls from now on, and reports whether Close
// was called already.
func (c *conn) driven(wake func()) (closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = wake
	return c.closed
}

// over removes Close's wake function and remembers a failed early exec.
func (c *conn) over() {
	if c.session.guessFailed && c.proven {
		c.dialer.waitNextTime(c.session.attempt.Target)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = nil
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// guard turns a panic into the end of this one attempt.
func (s *session) guard() {
	if p := recover(); p != nil {
		s.fail(s.attempt.Fail(s.link.exec.Failed(), fleet.ReasonInternal, fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
	}
}
