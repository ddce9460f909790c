package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// Tunnels is a connection to a jump host that carries streams to other hosts
// (direct-tcpip, RFC 4254 §7.2). It is safe for concurrent use.
//
//	Tunnel.Write → client → pump, one goroutine → the jump host
//	Tunnel.Read ← client ← serve, one goroutine ← the jump host
type Tunnels struct {
	link  *link
	host  string // for errors
	clock *clock.Clock

	mu      sync.Mutex // guards the fields below, and link.client
	output  sync.Cond  // signals pending output, or err
	tunnels map[wire.Channel]*Tunnel
	alive   ssh.Keepalive
	line    []*Tunnel // that want room in the output, in their order
	looked  time.Time // when the client was last told the time
	err     error     // why the connection is over
	closed  chan struct{}
	both    sync.WaitGroup
}

// tunnelWindow is the channel window of each stream: 256 KiB, which limits the
// memory for a slow reader.
const tunnelWindow = 256 << 10

// Tunnels connects to a jump host and authenticates. The attempt's command is
// ignored. Every error is a *fleet.Error.
func (d *Dialer) Tunnels(ctx context.Context, a *ssh.Attempt) (*Tunnels, error) {
	p := d.planFor(a.Target, false)
	p.fallback, p.earlyExec, p.window = false, false, tunnelWindow
	d.tellPlan(a, &p)
	h, f := d.dialWithRetry(ctx, a, p)
	if f != nil {
		return nil, f
	}
	if h.plan.fallback { // there is no connection
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonNoCommonAlgorithm,
			errors.New("jump hosts are reached by shoal's own SSH client only, which shares no algorithm with this one"))
	}
	t := &Tunnels{
		link: h.link, host: a.Target.Host.String(), clock: d.opts.Clock,
		tunnels: make(map[wire.Channel]*Tunnel), closed: make(chan struct{}), looked: time.Now(),
		alive: d.opts.Timeouts.For(a).Keepalive(),
	}
	t.alive.Heard(t.clock.Now())
	t.output.L = &t.mu
	t.both.Go(t.serve)
	t.both.Go(t.pump)
	return t, nil
}

// Done is closed when the connection is over.
func (t *Tunnels) Done() <-chan struct{} { return t.closed }

// Close ends the connection and every stream on it.
func (t *Tunnels) Close() error {
	t.mu.Lock()
	if t.err == nil {
		t.link.client.Disconnect()
	}
	t.mu.Unlock()
	t.fail(net.ErrClosed)
	t.both.Wait()
	return nil
}

// fail ends the connection and every stream with the same cause.
func (t *Tunnels) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return
	}
	t.err = &fleet.Error{
		Host: t.host, Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseDial, Reason: fleet.ReasonJumpFailed,
		Err: fmt.Errorf("the connection to the jump host %s was lost: %w", t.host, err),
	}
	close(t.closed)
	for _, tunnel := range t.tunnels {
		tunnel.gone()
		tunnel.changed.Broadcast()
	}
	t.output.Broadcast()
	_ = t.link.conn.SetDeadline(time.Unix(1, 0))
}

// serve reads until the connection ends. A panic ends it.
func (t *Tunnels) serve() {
	defer func() {
		if p := recover(); p != nil {
			t.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		t.limitRead()
		n, err := t.link.conn.Read(buf)
		if n > 0 {
			if err := t.receive(buf[:n]); err != nil {
				t.fail(err)
				return
			}
		}
		if sshreason.TimedOut(err) && !t.over() {
			err = t.ask()
		}
		if err != nil {
			t.fail(err)
			return
		}
	}
}

func (t *Tunnels) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err != nil
}

// limitRead lets the next Read end when a keepalive is due. The deadline by which fail ends
// it stays.
func (t *Tunnels) limitRead() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		_ = t.link.conn.SetReadDeadline(t.clock.Deadline(t.alive.Next()))
	}
}

// ask sends a keepalive if it is time for one. The error says that the server has vanished.
func (t *Tunnels) ask() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	if now.Before(t.alive.Next()) { // this process was stopped
		return nil
	}
	if err := t.alive.Silent(now, t.clock.Suspended()); err != nil {
		return err
	}
	t.link.client.Keepalive()
	t.output.Signal()
	return nil
}

// receive passes received bytes to the streams.
func (t *Tunnels) receive(p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alive.Heard(t.clock.Now())
	now := time.Now()
	t.link.client.Pass(now.Sub(t.looked))
	t.looked = now
	t.link.client.Receive(p)
	for {
		ev, err := t.link.client.Next()
		if err != nil {
			return err
		}
		if ev == nil {
			t.output.Signal()
			return nil
		}
		t.dispatch(ev)
	}
}

func (t *Tunnels) dispatch(ev wire.Event) {
	switch ev := ev.(type) {
	case wire.ChannelOpened:
		t.tunnels[ev.Channel].become(tunnelOpen, nil)
	case wire.ChannelRefused:
		tunnel := t.tunnels[ev.Channel]
		delete(t.tunnels, ev.Channel)
		tunnel.become(tunnelGone, &RefusedError{Code: ev.Code, Text: ev.Text})
	case wire.Data:
		t.tunnels[ev.Channel].arrived(ev.Bytes)
	case wire.EOF:
		t.tunnels[ev.Channel].ended()
	case wire.Closed:
		tunnel := t.tunnels[ev.Channel]
		delete(t.tunnels, ev.Channel)
		tunnel.become(tunnelGone, nil)
	case wire.Writable:
		t.tunnels[ev.Channel].changed.Broadcast()
	}
}

// pump writes until the connection ends. It copies the output with mu held and
// writes it without.
func (t *Tunnels) pump() {
	var buf []byte
	for {
		t.mu.Lock()
		for len(t.link.client.Output()) == 0 && t.err == nil {
			t.output.Wait()
		}
		buf = append(buf[:0], t.link.client.Output()...)
		t.link.client.Sent(len(buf))
		t.admit()
		over := t.err != nil
		t.mu.Unlock()
		if over {
			_ = t.link.conn.SetWriteDeadline(time.Now().Add(goodbye))
			_, _ = t.link.conn.Write(buf)
			_ = t.link.conn.Close()
			return
		}
		if err := t.write(buf); err != nil {
			t.fail(err)
		}
	}
}

// maxPending limits the streams' bytes that wait to be written, whatever windows the jump
// host grants: they would fill the memory, and delay the messages of all other streams.
// While several streams wait for room, each queues maxTurn bytes in turn.
const (
	maxPending = 128 << 10
	maxTurn    = 8 << 10
)

// room returns how many bytes c may queue now. If 0, c has a place in line, which it keeps
// while its write has timed out, and is told when it has its turn. mu must be held, as for
// leave and admit.
func (t *Tunnels) room(c *Tunnel) int {
	next := t.next(c)
	if left := maxPending - len(t.link.client.Output()); left > 0 && (next == nil || next == c) {
		if len(t.line) > 1 {
			return min(left, maxTurn)
		}
		return left
	}
	if !slices.Contains(t.line, c) {
		t.line = append(t.line, c)
	}
	return 0
}

// next returns the first in line that waits or is c; nil if there is none.
func (t *Tunnels) next(c *Tunnel) *Tunnel {
	if i := slices.IndexFunc(t.line, func(o *Tunnel) bool { return o.waits || o == c }); i >= 0 {
		return t.line[i]
	}
	return nil
}

// leave gives up c's place in line.
func (t *Tunnels) leave(c *Tunnel) {
	if i := slices.Index(t.line, c); i >= 0 {
		t.line = slices.Delete(t.line, i, i+1)
	}
	t.admit()
}

// admit wakes the stream whose turn it is.
func (t *Tunnels) admit() {
	if c := t.next(nil); c != nil {
		c.changed.Broadcast()
	}
}

// write fails if the jump host accepts nothing for sshreason.WriteTimeout, not
// counting stops of this process.
func (t *Tunnels) write(p []byte) error {
	by := t.clock.Now().Add(sshreason.WriteTimeout)
	for {
		_ = t.link.conn.SetWriteDeadline(t.clock.Deadline(by))
		if t.over() { // fail may have set the past deadline before
			return net.ErrClosed
		}
		n, err := t.link.conn.Write(p)
		if p = p[n:]; n > 0 {
			by = t.clock.Now().Add(sshreason.WriteTimeout)
		}
		if err == nil || !sshreason.TimedOut(err) || t.over() || !t.clock.Now().Before(by) {
			return err
		}
	}
}

// A RefusedError is a jump host's refusal to open a stream (RFC 4254 §5.1).
type RefusedError struct {
	Code uint32 // SSH_OPEN_ADMINISTRATIVELY_PROHIBITED is 1, CONNECT_FAILED 2, RESOURCE_SHORTAGE 4
	Text string // the jump host's text: untrusted, to be escaped
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the jump host refused the connection, reason code %d: %q", e.Code, e.Text)
}
