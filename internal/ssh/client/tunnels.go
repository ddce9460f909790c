package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
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
	silent  int       // keepalives without an answer
	looked  time.Time // when the client was last told the time
	err     error     // why the connection is over
	closed  chan struct{}
	both    sync.WaitGroup
}

// tunnelWindow is the channel window of each stream: 256 KiB, which limits the
// memory for a slow reader.
const tunnelWindow = 256 << 10

// A jump host that is silent for keepaliveEvery gets a keepalive, and counts as
// lost after maxSilent unanswered ones.
const (
	keepaliveEvery = 15 * time.Second
	maxSilent      = 3
)

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
	}
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
		lost := t.clock.Suspended()
		_ = t.link.conn.SetReadDeadline(time.Now().Add(keepaliveEvery))
		n, err := t.link.conn.Read(buf)
		if n > 0 {
			if err := t.receive(buf[:n]); err != nil {
				t.fail(err)
				return
			}
		}
		switch {
		case err == nil:
		case !sshreason.TimedOut(err) || t.over():
			t.fail(err)
			return
		case !t.ask(t.clock.Suspended() != lost):
			t.fail(fmt.Errorf("it has not answered for %v", (maxSilent+1)*keepaliveEvery))
			return
		}
	}
}

func (t *Tunnels) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err != nil
}

// ask sends a keepalive, or returns false if too many were unanswered. After a stop
// of this process one more is sent.
func (t *Tunnels) ask(stopped bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !stopped {
		t.silent++
	}
	if t.silent > maxSilent {
		return false
	}
	t.link.client.Keepalive()
	t.output.Signal()
	return true
}

// receive passes received bytes to the streams.
func (t *Tunnels) receive(p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silent = 0
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

// write fails if the jump host accepts nothing for sshreason.WriteTimeout, not
// counting stops of this process.
func (t *Tunnels) write(p []byte) error {
	by := t.clock.Now().Add(sshreason.WriteTimeout)
	for {
		_ = t.link.conn.SetWriteDeadline(t.clock.Deadline(by))
		n, err := t.link.conn.Write(p)
		if p = p[n:]; err == nil || !sshreason.TimedOut(err) || t.over() || !t.clock.Now().Before(by) {
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
