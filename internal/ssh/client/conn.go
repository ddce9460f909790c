package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A conn is an authenticated connection. It implements ssh.Conn.
//
//	Start → begin → eventDrivers: an event loop, or a goroutine that reads
//	          bytes → link → events → session → its end → done
//	StartNext → kept.next → the same driver, with another session on the link
type conn struct {
	dialer  *Dialer
	session *session // the driver's from Start on

	mu   sync.Mutex
	wake func() // tells the driver that closed or kept.next is set; nil without a driver
	kept *kept  // nil: its first attempt does not ask for it
	// loggedIn is when the server let us in, as Dialer.millis has it: many connections wait.
	loggedIn uint32
	proven   bool // the host cache may learn
	started  bool // only the session's driver closes the connection, which may use its descriptor
	closed   bool
}

// kept is the state of a connection that may outlive its commands. The conn's mu guards what
// is not set by newConn.
type kept struct {
	hostKey xssh.PublicKey
	guesses bool        // later commands may be sent with the opening of their channel
	onEnd   func(error) // may be nil

	ready bool       // a command has ended, the connection has not, and no other attempt has been passed on
	since time.Time  // when the last command ended
	next  *next      // waits for the driver; nil: none
	over  *fleet.End // why there is no connection any more; nil: there is one
}

// settleTime is how long a command must have ended before the next one may be sent with the
// opening of its channel. A server that receives the close of the last channel together with
// the opening of another has not freed the number of the first (OpenSSH frees it when it has
// processed all that it has read), so that the guess is wrong.
const settleTime = 100 * time.Millisecond

// A next is an attempt that StartNext passes to the driver.
type next struct {
	ctx     context.Context
	attempt *ssh.Attempt
	done    func(fleet.End)
	failed  *fleet.Error // of its intent
}

func newConn(h *handshake) *conn {
	h.session.optimistic = h.plan.guessExec
	c := &conn{dialer: h.dialer, session: h.session, proven: h.proven, loggedIn: h.dialer.millis()}
	if h.attempt.Keep {
		c.kept = &kept{hostKey: h.hostKey, guesses: h.plan.guessExec}
	}
	return c
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

// HostKey implements ssh.Keeper.
func (c *conn) HostKey() xssh.PublicKey {
	if c.kept == nil {
		return nil
	}
	return c.kept.hostKey
}

// OnEnd implements ssh.Keeper.
func (c *conn) OnEnd(f func(cause error)) {
	if c.kept != nil {
		c.kept.onEnd = f
	}
}

// StartNext implements ssh.Conn.
func (c *conn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	a.Timeline.Enter(fleet.PhaseSession)
	n := &next{ctx: ctx, attempt: a, done: done}
	over := c.lost()
	if over == nil && ctx.Err() == nil && !a.Hold {
		n.failed = a.Intend() // here, not in the driver: see session.intend
	}
	if over == nil {
		over = c.pass(n)
	}
	if over != nil {
		n.fail(over)
	}
}

var (
	errNotKept = errors.New("the connection was not kept after its last command")
	errBusy    = errors.New("another command waits or runs on the connection")
)

// lost returns why there is no connection for a further attempt, or nil.
func (c *conn) lost() *fleet.End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lostLocked()
}

func (c *conn) lostLocked() *fleet.End {
	switch {
	case c.kept == nil || c.kept.since.IsZero() && c.kept.over == nil:
		return &fleet.End{Reason: fleet.ReasonConnClosed, Err: errNotKept}
	case c.kept.over == nil && !c.kept.ready: // it must not take the place of the other, which nobody would end then
		return &fleet.End{Reason: fleet.ReasonInternal, Err: errBusy}
	case c.closed:
		return &fleet.End{Reason: fleet.ReasonInterrupted, Err: errClosedHere}
	}
	return c.kept.over
}

// pass passes n to the driver, unless the connection is lost.
func (c *conn) pass(n *next) (over *fleet.End) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if over := c.lostLocked(); over != nil {
		return over
	}
	c.kept.next, c.kept.ready = n, false
	c.wake()
	return nil
}

// fail ends an attempt for which there is no connection.
func (n *next) fail(over *fleet.End) {
	n.done(n.attempt.Fail(n.attempt.Execution.Failed(), over.Reason, over.Err).End())
}

// rest replaces a session that has ended by one that only drives the connection. StartNext may
// be called from now on.
func (c *conn) rest() {
	spread := time.Duration(0)
	if after := c.session.attempt.Target.Settings().RekeyAfter; after > 0 {
		spread = rand.N(after/2 + 1)
	}
	c.session = c.session.rest()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept.since.IsZero() { // so that connections made together do not exchange keys together
		c.session.link.client.Pass(spread)
	}
	c.kept.ready, c.kept.since = true, time.Now()
}

// guess reports whether the command of the next attempt may be sent with the opening of its
// channel. A server that may be gone is asked for the channel first: then it is certain that
// the command has not run.
func (c *conn) guess(t ssh.Target) bool {
	s := c.session
	return c.kept.guesses && s.link.client.Idle() && s.alive.Answered() &&
		s.clock().Suspended() == s.begun && time.Since(c.kept.since) >= c.dialer.settle && !c.dialer.laterFails(t)
}

// hasNext reports whether a further attempt waits for the driver.
func (c *conn) hasNext() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept != nil && c.kept.next != nil
}

// adopt makes the session of a further attempt, if one waits. It returns nil if none does.
func (c *conn) adopt() *next {
	c.mu.Lock()
	if c.kept == nil || c.kept.next == nil {
		c.mu.Unlock()
		return nil
	}
	n := c.kept.next
	c.kept.next = nil
	c.mu.Unlock()
	guess := c.guess(n.attempt.Target)
	c.session = c.session.further(n.attempt)
	c.session.optimistic = guess
	switch {
	case n.ctx.Err() != nil:
		c.session.interrupted(n.ctx)
	case n.failed != nil:
		c.session.fail(n.failed)
	default:
		if f := sshreason.Unfit(n.attempt, c.session.link.client.ServerVersion()); f != nil {
			c.session.fail(f)
		}
	}
	return n
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

// over removes Close's wake function and remembers a failed early exec. It returns the attempt
// that came too late for the connection, and why there is none any more.
func (c *conn) over() (late *next, why *fleet.End) {
	switch s := c.session; {
	case s.guessFailed && s.later:
		c.dialer.laterFailed(s.attempt.Target)
	case s.guessFailed && c.proven:
		c.dialer.waitNextTime(s.attempt.Target)
	}
	late, why = c.release()
	if why != nil && c.kept.onEnd != nil {
		c.kept.onEnd(why.Err)
	}
	return late, why
}

func (c *conn) release() (late *next, why *fleet.End) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = nil
	if c.kept == nil {
		return nil, nil
	}
	why = &fleet.End{Reason: fleet.ReasonConnClosed, Err: errNotKept}
	if c.session.resting() {
		why = c.session.end
	}
	late, c.kept.next, c.kept.over = c.kept.next, nil, why
	return late, why
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// guard turns a panic into the end of this one attempt.
func (s *session) guard() {
	if p := recover(); p != nil {
		s.failFor(fleet.ReasonInternal, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}
}
