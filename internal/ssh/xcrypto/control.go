package xcrypto

import (
	"context"
	"net"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A Master is the program at the other end of a control socket.
type Master interface {
	// Ended returns why the connection that it holds has ended. It is called after the
	// program has closed the control connection, and before Release.
	Ended() *fleet.Error
	// Release gives up what belongs to the attempt alone. It may be repeated.
	Release()
}

// Control returns the attempt's authenticated connection over the control socket nc of an
// OpenSSH master, in the multiplexer's proxy mode: the session's messages are ours, and
// reach the server as they are. It takes ownership of nc and m, also on failure. flags are
// set in the end of the attempt; without fleet.FlagNoAgent the program forwards the agent that the
// attempt wants.
func Control(ctx context.Context, a *ssh.Attempt, nc net.Conn, m Master, t ssh.Timeouts, c *clock.Clock, flags fleet.Flags) (ssh.Conn, error) {
	w := newWire(nc, a, c)
	w.versioned = true
	made := &conn{wire: w, all: &t, timeouts: t, flags: flags, master: m}
	if a.WantsAgent() && !flags.Has(fleet.FlagNoAgent) {
		made.agent = newForwarding(a, nil) // the program takes the channels
	}
	stop := context.AfterFunc(ctx, w.abandon)
	defer stop()
	a.Timeline.Enter(fleet.PhaseSession)
	w.until(t.Session)
	sc, channels, requests, err := xssh.NewControlClientConn(w)
	if err == nil {
		made.ssh = sc
		go made.refuseRequests(requests)
		go made.refuseChannels(channels)
		w.authenticated()
		if stop() {
			return made, nil
		}
	}
	var f *fleet.Error
	switch {
	case ctx.Err() != nil:
		f = sshreason.Interrupted(ctx, a)
	case w.lost():
		f = m.Ended()
	case sshreason.TimedOut(err):
		f = a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonSessionTimeout, sshreason.TimeoutError(fleet.PhaseSession, t, false))
	default:
		f = a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonProtocolError, tame(err))
	}
	_ = made.Close()
	return nil, f
}

// lost reports whether the peer ended the connection.
func (w *transport) lost() bool {
	_, _, ended := sshreason.Link(w.ended())
	return ended
}

// A Carrier is a connection to a server with which another program speaks SSH. It is a
// net.Conn that also does what the attempt's own connections do: it enforces the deadline of
// each phase, reads the lines up to the version, and limits what may come before
// authentication. Its bytes are not counted as the attempt's.
type Carrier struct{ w *transport }

// NewCarrier returns a Carrier on nc. connectBy limits all phases before authentication, by c;
// zero: no limit.
func NewCarrier(nc net.Conn, a *ssh.Attempt, c *clock.Clock, connectBy time.Time) *Carrier {
	w := newWire(nc, a, c)
	w.carrier, w.connectBy = true, connectBy
	return &Carrier{w}
}

// Read implements io.Reader. It begins with the server's version line.
func (c *Carrier) Read(p []byte) (int, error) { return c.w.Read(p) }

// Write implements io.Writer.
func (c *Carrier) Write(p []byte) (int, error) { return c.w.Write(p) }

// Close ends the connection.
func (c *Carrier) Close() error { return c.w.Close() }

// Done is closed by Close.
func (c *Carrier) Done() <-chan struct{} { return c.w.done }

// RemoteAddr returns the server's address.
func (c *Carrier) RemoteAddr() net.Addr { return c.w.RemoteAddr() }

// Until sets the deadline of the phase that begins now.
func (c *Carrier) Until(d time.Duration) { c.w.until(d) }

// Deadline returns the deadline of the current phase, by the clock.
func (c *Carrier) Deadline() time.Time { return c.w.deadline() }

// Authenticated removes the deadline and the limit.
func (c *Carrier) Authenticated() { c.w.authenticated() }

// Raise records a failure. The first one counts, and is returned.
func (c *Carrier) Raise(f *fleet.Error) *fleet.Error { return c.w.raise(f) }

// Failed returns why the connection has ended: a failure that was raised, a deadline, or the
// server. It returns nil if none of these happened.
func (c *Carrier) Failed(t ssh.Timeouts) *fleet.Error {
	w, a := c.w, c.w.attempt()
	if f := w.raised(); f != nil {
		return f
	}
	err := w.ended()
	if err == nil {
		return nil
	}
	phase := a.Timeline.Phase()
	if phase == fleet.PhaseBanner {
		if r, err, ok := sshreason.Greeting(w.greeting); ok {
			return a.Fail(fleet.OutcomeNeverStarted, r, err)
		}
	}
	if sshreason.TimedOut(err) {
		passed := !w.connectBy.IsZero() && !w.clock.Now().Before(w.connectBy)
		return a.Fail(a.Execution.Failed(), sshreason.Deadline(phase), w.stopped(sshreason.TimeoutError(phase, t, passed)))
	}
	if r, named, ok := sshreason.Link(err); ok {
		return a.Fail(a.Execution.Failed(), r, w.stopped(named))
	}
	return nil
}
