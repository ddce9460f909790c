package client

import (
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
	"shoal/internal/sshdtest"
)

// An endless connection always has a byte to read, until its deadline has passed or it has ended.
type endless struct {
	net.Conn
	ended bool
	by    time.Time
	reads int
}

func (c *endless) Read(p []byte) (int, error) {
	switch {
	case !c.by.IsZero() && !time.Now().Before(c.by):
		return 0, os.ErrDeadlineExceeded
	case c.ended:
		return 0, io.EOF
	}
	c.reads++
	return copy(p, "x"), nil
}

func (c *endless) SetReadDeadline(t time.Time) error {
	c.by = t
	return nil
}

// runningOn returns a session whose command runs on a connection, with output that is still to be
// sent, for a goroutine to drive.
func runningOn(t *testing.T, nc net.Conn, a *ssh.Attempt) *conn {
	t.Helper()
	d, err := New(Options{HostKeys: trustingSome{}, Identities: someKeys(nil)})
	if err != nil {
		t.Fatal(err)
	}
	a.Progress, a.Target = new(ssh.Progress), ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "host"}}}
	l := &link{conn: nc, client: wire.New(&wire.Config{}), exec: &a.Execution}
	s := newSession(a, l, d, ssh.Timeouts{Alive: -1})
	s.accepted = true
	s.enter(fleet.PhaseRun, 0)
	return &conn{dialer: d, session: s}
}

// A command that reads and writes without end does not outlive its time limit.
func TestTimeLimitWhileBothStreamsFlow(t *testing.T) {
	c := runningOn(t, &endless{}, &ssh.Attempt{Input: strings.NewReader("more")})
	s := c.session
	s.overdue, s.deadline = true, time.Now() // TERM was sent, and TermGrace has passed
	s.writable = true                        // the server takes more at any time
	s.read(t.Context(), c, c.dialer)
	if s.end == nil || s.end.Outcome != fleet.OutcomeNeverStarted || s.end.Reason != fleet.ReasonTimeout {
		t.Errorf("ended %+v, want a timeout", s.end)
	}
}

// A stream has input all the time, none of which can be sent: the end of the connection is noticed.
func TestStreamAfterWritingHasFailed(t *testing.T) {
	c := runningOn(t, &endless{ended: true}, &ssh.Attempt{Stream: &ready{}})
	s := c.session
	s.listen(func() { _ = s.link.conn.SetReadDeadline(time.Unix(1, 0)) })
	s.mute = true
	s.read(t.Context(), c, c.dialer)
	if s.end == nil || s.end.Reason != fleet.ReasonConnClosed {
		t.Errorf("ended %+v, want that the server has closed the connection", s.end)
	}
}

// A stream has more while what was fed before cannot leave: the server may be waiting for us to read.
func TestStreamDoesNotKeepFromReading(t *testing.T) {
	nc := &endless{}
	c := runningOn(t, nc, &ssh.Attempt{Stream: &ready{}})
	s := c.session
	s.listen(func() { _ = s.link.conn.SetReadDeadline(time.Unix(1, 0)) })
	s.read(t.Context(), c, c.dialer)
	if nc.reads != 1 {
		t.Errorf("%d reads, want 1", nc.reads)
	}
}

// A ready Stream has more at any time.
type ready struct{}

func (*ready) Next(p []byte, _ int64) (int, error) { return copy(p, "more"), nil }
func (*ready) Notify(wake func())                  { wake() }

// A server that accepts a command before it has it is not counted among those that take input.
func TestAcceptedTooEarly(t *testing.T) {
	c := runningOn(t, &endless{}, &ssh.Attempt{Input: strings.NewReader("more")})
	s := c.session
	s.accepted = false
	s.answered(true)
	if s.end == nil || s.end.Reason != fleet.ReasonProtocolError {
		t.Errorf("ended %+v, want a protocol error", s.end)
	}
	if n := c.dialer.inputs.Load(); n != 0 {
		t.Errorf("%d commands take input, want 0", n)
	}
}

// A lateConn is a connection on a machine so busy that a write begins later than a session gives it.
type lateConn struct {
	net.Conn
	by atomic.Pointer[time.Time]
}

func (c *lateConn) SetDeadline(t time.Time) error {
	c.by.Store(&t)
	return c.Conn.SetDeadline(t)
}

func (c *lateConn) SetWriteDeadline(t time.Time) error {
	c.by.Store(&t)
	return nil
}

func (c *lateConn) Write(p []byte) (int, error) {
	time.Sleep(3 * exchange / 2)
	if by := c.by.Load(); by != nil && !by.IsZero() && !time.Now().Before(*by) {
		return 0, os.ErrDeadlineExceeded
	}
	_ = c.Conn.SetWriteDeadline(time.Time{})
	return c.Conn.Write(p)
}

// A command is sent however late this machine is: the server takes it.
func TestLateWrites(t *testing.T) {
	t.Parallel()
	r := rigFor(sshdtest.OpenSSH(t))
	r.wrap = func(nc net.Conn) net.Conn { return &lateConn{Conn: nc} }
	r.run(t, "echo ok").ok(t, "ok\n")
}
