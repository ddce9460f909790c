package xcrypto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A conn is an authenticated connection. It implements ssh.Conn.
//
//	Start → go run → open the channel → exec → command.wait → done
//	                                     ├ stdout, stderr: a goroutine each
//	                                     ├ the command's input, if any: a goroutine
//	                                     └ channel requests: a goroutine
type conn struct {
	wire     *transport
	ssh      xssh.Conn
	all      *ssh.Timeouts // the Dialer's
	timeouts ssh.Timeouts  // of the attempt
	flags    fleet.Flags   // of every end
	master   Master        // the program whose connection this shares; nil: none
	busy     atomic.Bool   // an attempt was started and has not ended
	hasPTY   bool          // the attempt was granted a pseudo-terminal
	kept     bool          // the last attempt has ended, and the connection is kept for another
	reopens  bool          // a refused channel is opened once more: see open
	agent    *forwarding   // nil: no agent is forwarded
	noAgent  bool          // the attempt was to have one
	refused  fleet.Flags   // of what the server has refused of the attempt
}

func newConn(w *transport, sc xssh.Conn, t *ssh.Timeouts) *conn {
	return &conn{wire: w, ssh: sc, all: t, timeouts: t.For(w.attempt())}
}

func (c *conn) attempt() *ssh.Attempt { return c.wire.attempt() }

// Algorithms returns the negotiated algorithms.
func (c *conn) Algorithms() xssh.NegotiatedAlgorithms {
	return c.ssh.(xssh.AlgorithmsConnMetadata).Algorithms() // all connections of the library implement it
}

// HostKey returns the host key that was checked.
func (c *conn) HostKey() xssh.PublicKey { return c.wire.pinnedKey() }

// OnEnd implements ssh.Keeper. A peer that vanishes between two attempts is not noticed: no
// keepalives are sent then.
func (c *conn) OnEnd(f func(cause error)) {
	c.wire.whenShut(func() { f(errEnded) })
}

// Close implements ssh.Conn.
func (c *conn) Close() error {
	err := c.wire.Close()
	if c.master != nil {
		c.master.Release()
	}
	return err
}

// Start implements ssh.Conn.
func (c *conn) Start(ctx context.Context, done func(fleet.End)) {
	c.busy.Store(true)
	go func() {
		c.kept, c.hasPTY, c.refused = false, false, 0
		end := c.guarded(ctx)
		end.Flags |= c.flags | c.refused
		if c.noAgent {
			end.Flags |= fleet.FlagNoAgent
		}
		if c.hasPTY {
			end.Flags |= fleet.FlagPTY
		}
		if !c.kept {
			_ = c.Close()
		}
		c.agent.end(!c.kept)
		c.busy.Store(false)
		done(end)
	}()
}

// StartNext implements ssh.Conn.
func (c *conn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	a.Timeline.Enter(fleet.PhaseSession)
	if c.busy.Load() { // it must not take the place of the other, which would end as it does
		done(a.Fail(a.Execution.Failed(), fleet.ReasonInternal, errBusy).End())
		return
	}
	if !c.kept {
		done(a.Fail(a.Execution.Failed(), fleet.ReasonConnClosed, errNotKept).End())
		return
	}
	c.wire.carry(a)
	c.timeouts, c.reopens, c.noAgent = c.all.For(a), true, a.WantsAgent() // servers grant an agent once
	if ctx.Err() != nil {
		_ = c.Close()
		done(sshreason.Interrupted(ctx, a).End())
		return
	}
	if reason, err := c.ended(); err != nil {
		done(a.Fail(a.Execution.Failed(), reason, err).End())
		return
	}
	c.Start(ctx, done)
}

// ended returns why the connection has ended, or no error.
func (c *conn) ended() (fleet.Reason, error) {
	select {
	case <-c.wire.done:
	default:
		return fleet.ReasonNone, nil
	}
	reason, err := c.cause(nil)
	if errors.Is(c.ssh.Wait(), net.ErrClosed) {
		return fleet.ReasonInterrupted, errClosedHere
	}
	return reason, err
}

var (
	errNotKept    = errors.New("the connection was not kept after its last command")
	errBusy       = errors.New("another command runs on the connection")
	errClosedHere = errors.New("the connection was closed on this side")
	errEnded      = errors.New("the connection has ended")
)

// guarded runs the attempt and turns a panic into its end.
func (c *conn) guarded(ctx context.Context) (end fleet.End) {
	defer func() {
		if p := recover(); p != nil {
			_ = c.Close()
			end = c.attempt().Fail(c.attempt().Execution.Failed(), fleet.ReasonInternal, panicError(p)).End()
		}
	}()
	return c.run(ctx)
}

func panicError(p any) error {
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}

func (c *conn) run(ctx context.Context) fleet.End {
	a := c.attempt()
	var running atomic.Pointer[command] // once it was accepted
	stop := context.AfterFunc(ctx, func() {
		if cmd := running.Load(); cmd != nil && a.Interrupt {
			cmd.interrupt()
			return
		}
		c.wire.abandon()
	})
	defer stop()
	a.Timeline.Enter(fleet.PhaseSession)
	if f := sshreason.Unfit(a, string(c.ssh.ServerVersion())); f != nil { // of a further attempt
		return f.End()
	}
	c.wire.until(c.timeouts.Session)
	ch, requests, err := c.open()
	if err != nil {
		return c.openFailed(ctx, err).End()
	}
	cmd := newCommand(c, ch)
	cmd.serve(requests)

	if a.PTY != nil {
		a.Timeline.Enter(fleet.PhaseExec)
		if granted, err := requestPTY(ch, a.PTY); err != nil {
			return cmd.ended(ctx, err)
		} else if !granted {
			cmd.disarm()
			return sshreason.PTYRefused(a).End()
		}
		c.hasPTY = true
	}
	if f := a.Intend(); f != nil {
		cmd.disarm()
		return f.End()
	}
	a.Timeline.Enter(fleet.PhaseExec)
	// Servers refuse most variables (RFC 4254 §6.4), and some of them also where no answer is
	// wanted: the library would take that for the answer to exec.
	for i, variable := range a.Target.Settings().Env {
		name, value, _ := strings.Cut(variable, "=")
		if ok, err := ch.SendRequest("env", true, xssh.Marshal(struct{ Name, Value string }{name, value})); !ok && err == nil {
			c.refused |= a.EnvRefused(i)
		}
	}
	if c.agent.wanted() && !c.requestAgent(ch) {
		c.noAgent = true
		a.Tell("the server does not forward the agent (AllowAgentForwarding in sshd_config, no-agent-forwarding and restrict in authorized_keys)")
	}
	a.Execution.Queue(1) // the next write may contain it
	kind, text := "exec", a.Exec()
	if a.Subsystem {
		kind, text = "subsystem", a.Line
	}
	accepted, err := ch.SendRequest(kind, true, xssh.Marshal(struct{ Text string }{text}))
	switch {
	case err != nil:
		return cmd.ended(ctx, err)
	case !accepted:
		return cmd.refused(ctx)
	}
	a.Execution.Started()
	running.Store(cmd)
	fed, waited := cmd.feed(), false
	defer func() {
		if !waited { // a panic: nobody reads the output any more, for which the input may wait
			_ = c.Close()
		}
		fed()
	}()
	end := cmd.wait(ctx)
	waited = true
	return end
}

// requestPTY asks for a pseudo-terminal (RFC 4254 §6.2).
func requestPTY(ch xssh.Channel, p *ssh.PTY) (granted bool, err error) {
	columns, rows := p.Size()
	return ch.SendRequest("pty-req", true, xssh.Marshal(struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}{p.Terminal(), columns, rows, 0, 0, ssh.PTYModes}))
}

// open opens a channel. A server that takes one at a time (MaxSessions 1) may have received the
// request together with the close of the last one, before it was rid of that: so a channel that
// is refused to a further attempt is opened once more.
func (c *conn) open() (xssh.Channel, <-chan *xssh.Request, error) {
	ch, requests, err := c.ssh.OpenChannel("session", nil)
	if _, refused := errors.AsType[*xssh.OpenChannelError](err); refused && c.reopens {
		return c.ssh.OpenChannel("session", nil)
	}
	return ch, requests, err
}

// openFailed returns the reason why the session channel could not be opened (RFC 4254 §5.1).
func (c *conn) openFailed(ctx context.Context, err error) *fleet.Error {
	a := c.attempt()
	if refused, ok := errors.AsType[*xssh.OpenChannelError](err); ok {
		return a.Fail(a.Execution.Failed(), fleet.ReasonSessionRefused, fmt.Errorf(
			"the server refused a session, reason code %d: %.200q", refused.Reason, refused.Message))
	}
	if ctx.Err() != nil {
		return sshreason.Interrupted(ctx, a)
	}
	reason, named := c.cause(err)
	return a.Fail(a.Execution.Failed(), reason, named)
}

// staysUp reports whether the connection is up after its channel has ended: then the server has
// closed the channel. The library does not say that without closing the connection (see
// endsInOrder), but an answer to a request shows it.
func (c *conn) staysUp() bool {
	answered := make(chan error, 1) // sent once by the request
	go func() {
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		answered <- err
	}()
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	select {
	case err := <-answered:
		return err == nil
	case <-c.wire.held: // the peer has ended the connection
	case <-timer.C:
	}
	return false
}

// endsInOrder closes a connection whose channel has ended, and reports whether the server
// closed the channel: then the connection was still up, and this close ends the library's
// reading (see transport.hold).
func (c *conn) endsInOrder() bool {
	return c.wire.shut() && errors.Is(c.ssh.Wait(), net.ErrClosed)
}

// cause returns why the connection ended. The library's multiplexer keeps the cause; the
// channel's own errors do not have it.
func (c *conn) cause(err error) (fleet.Reason, error) {
	if c.master != nil && c.wire.lost() && c.wire.raised() == nil {
		f := c.master.Ended()
		return f.Reason, c.wire.stopped(f.Err)
	}
	_ = c.Close() // so that Wait returns
	if f := c.wire.raised(); f != nil {
		return f.Reason, f.Err
	}
	if muxErr := c.ssh.Wait(); muxErr != nil {
		err = muxErr
	}
	phase := c.attempt().Timeline.Phase()
	reason, named := classify(err, c.wire.ended())
	if reason == reasonDeadline {
		return sshreason.Deadline(phase), sshreason.TimeoutError(phase, c.timeouts, false)
	}
	return reason, c.wire.stopped(named)
}

// refuseRequests answers the server's global requests (RFC 4254 §4), including keepalives, with
// a failure.
func (c *conn) refuseRequests(requests <-chan *xssh.Request) {
	spent := newBudget()
	for r := range requests {
		if !spent.one() {
			c.abuse("global requests")
			continue // the channel must be drained until it closes
		}
		_ = r.Reply(false, nil)
	}
}

// refuseChannels refuses every channel that the server opens but those to a forwarded agent: no
// port is ever forwarded.
func (c *conn) refuseChannels(channels <-chan xssh.NewChannel) {
	spent := newBudget()
	for ch := range channels {
		if !spent.one() {
			c.abuse("channel opens")
			continue
		}
		if ch.ChannelType() == "auth-agent@openssh.com" && c.agent.serve(ch) {
			continue
		}
		_ = ch.Reject(xssh.Prohibited, "not offered")
	}
}

func (c *conn) abuse(of string) {
	_ = c.wire.blame(c.attempt().Timeline.Phase(), fleet.ReasonProtocolAbuse,
		fmt.Errorf("the server flooded us with %s", of))
	_ = c.Close()
}

// A budget allows 1,000 events at once and 10 more per second: more than keepalives need, less
// than a flood sends.
type budget struct {
	since time.Time
	spent int
}

func newBudget() *budget { return &budget{since: time.Now()} }

func (b *budget) one() bool {
	b.spent++
	return b.spent <= 1000+int(10*time.Since(b.since).Seconds())
}
