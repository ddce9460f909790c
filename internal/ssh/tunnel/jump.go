// Package tunnel opens connections to targets through jump hosts (ssh -J,
// ProxyJump) and proxy commands. It implements ssh.Network.
//
// Call [New], pass the Network to the Dialer, pass that Dialer to [Network.Use],
// which uses it to log in to jump hosts with the same keys and host-key checks, and
// Close the Network after the last run.
//
// Targets share connections to a jump host, so that a run of ten thousand targets
// opens some tens of them. They are opened one at a time, and a further one only
// when all others are full. If a jump host cannot be reached or is lost, every
// target behind it fails with the same error. A lost jump host is dialled again at
// once; after a failed dial the next one waits.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/tcp"
)

// DefaultStreams is the default number of streams per connection to a jump host.
// sshd needs a descriptor for each and by default has 1,024.
const DefaultStreams = 200

// maxConnections limits the connections to one jump host.
const maxConnections = 64

// Options configure a Network. They must not be changed after New.
type Options struct {
	// Direct opens connections that need no jump host, including those to jump hosts.
	// nil means TCP.
	Direct ssh.Network
	// Streams is the number of targets that share one connection to a jump host. 0
	// means DefaultStreams.
	Streams int
	// Timeouts.Dial limits the wait for a stream; zero values mean the defaults.
	Timeouts ssh.Timeouts
	// Clock is the clock of the timeouts. nil means the ordinary time.
	Clock *clock.Clock
	// Verbose is told of the logins at jump hosts; see ssh.Attempt.Verbose. nil disables
	// it.
	Verbose func(jump fleet.Target, line string)
}

// An Opener logs in to a jump host; *client.Dialer is one.
type Opener interface {
	Tunnels(ctx context.Context, a *ssh.Attempt) (*client.Tunnels, error)
}

// A Network opens connections according to each target's Endpoint. It is safe for
// concurrent use.
type Network struct {
	opts   Options
	opener Opener

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	all  sync.WaitGroup // dials of jump hosts and proxy commands

	mu    sync.Mutex
	pools map[poolKey]*pool
}

// New returns a Network. Use must be called before a target with a jump host is
// opened.
func New(o Options) *Network {
	o.Timeouts = o.Timeouts.WithDefaults()
	if o.Direct == nil {
		o.Direct = tcp.Dialer{Timeouts: o.Timeouts, Clock: o.Clock}
	}
	if o.Streams <= 0 {
		o.Streams = DefaultStreams
	}
	n := &Network{opts: o, pools: make(map[poolKey]*pool)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	return n
}

// Use sets the Opener that logs in to jump hosts. It must be called once, before
// any Open.
func (n *Network) Use(o Opener) { n.opener = o }

// Open implements ssh.Network.
func (n *Network) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	e := a.Target.Endpoint
	switch {
	case e == nil, e.Err != nil:
		return n.opts.Direct.Open(ctx, a)
	case e.Jump != nil:
		a.Timeline.Enter(fleet.PhaseDial)
		return n.through(ctx, a, *e.Jump)
	case len(e.ProxyCommand) > 0:
		a.Timeline.Enter(fleet.PhaseDial)
		return n.proxy(ctx, a, e.ProxyCommand)
	}
	return n.opts.Direct.Open(ctx, a)
}

// Close ends every connection to a jump host, and the streams on it.
func (n *Network) Close() error {
	n.stop()
	n.mu.Lock()
	pools := n.pools
	n.pools = make(map[poolKey]*pool)
	n.mu.Unlock()
	n.all.Wait()
	for _, p := range pools {
		p.close()
	}
	return nil
}

// Retire gives connections to jump hosts that were dialled so long ago, or longer, no further stream,
// and closes them when they have none: a login has the rights of its time. 0 means all.
func (n *Network) Retire(age time.Duration) {
	n.mu.Lock()
	pools := slices.Collect(maps.Values(n.pools))
	n.mu.Unlock()
	for _, p := range pools {
		p.retire(age)
	}
}

// maxTries limits the tries to open a stream, each on another connection.
const maxTries = 3

// through opens a stream to the target through the jump host hop.
func (n *Network) through(ctx context.Context, a *ssh.Attempt, hop ssh.Target) (net.Conn, error) {
	p := n.pool(hop)
	now, limit := n.opts.Clock.Now(), n.opts.Timeouts.For(a).Connect
	inTime := ctx
	if by := a.ConnectBy(now, limit); !by.IsZero() {
		var cancel context.CancelFunc
		inTime, cancel = n.opts.Clock.WithTimeout(ctx, by.Sub(now), context.DeadlineExceeded)
		defer cancel()
	}
	fail := func(err error) (net.Conn, error) {
		if inTime.Err() != nil && ctx.Err() == nil {
			return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialTimeout,
				fmt.Errorf("waiting for the jump host: the %w of %v passed", ssh.ErrConnectTimeout, limit))
		}
		return nil, n.failure(ctx, a, err)
	}
	for try := 1; ; try++ {
		m, err := p.acquire(inTime)
		if err != nil {
			return fail(err)
		}
		within, cancel := n.opts.Clock.WithTimeout(inTime, n.opts.Timeouts.Dial, context.DeadlineExceeded)
		tunnel, err := m.tunnels.Open(within, a.Target.Dialled(), a.Target.Port)
		cancel()
		if err == nil {
			if a.Verbose != nil {
				a.Tell("connected through the jump host %s", hop.Host)
			}
			return &stream{Tunnel: tunnel, release: sync.OnceFunc(func() { p.release(m) })}, nil
		}
		if late, ok := errors.AsType[*client.UnansweredError](err); ok {
			n.all.Go(func() { n.releaseWhenGone(p, m, late.Gone) })
			return fail(err)
		}
		p.failed(m, err)
		if try == maxTries || !passing(err) {
			return fail(err)
		}
	}
}

// releaseWhenGone keeps the place of a stream that was given up for as long as the jump host may have
// a descriptor for it: sshd tries to connect for two minutes. Many targets that do not answer would
// leave it none for the others.
func (n *Network) releaseWhenGone(p *pool, m *member, gone <-chan struct{}) {
	select {
	case <-gone:
	case <-n.ctx.Done():
	}
	p.release(m)
}

// passing reports whether a retry on another connection may succeed.
func passing(err error) bool {
	if r, ok := errors.AsType[*client.RefusedError](err); ok {
		return r.Code == resourceShortage
	}
	f, ok := errors.AsType[*fleet.Error](err)
	return ok && f.Reason == fleet.ReasonJumpFailed
}

// resourceShortage is SSH_OPEN_RESOURCE_SHORTAGE (RFC 4254 §5.1).
const resourceShortage = 4

// failure classifies the error that kept the target from being reached.
func (n *Network) failure(ctx context.Context, a *ssh.Attempt, err error) *fleet.Error {
	switch {
	case ctx.Err() != nil:
		return sshreason.Interrupted(ctx, a)
	case sshreason.TimedOut(err):
		return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialTimeout,
			fmt.Errorf("the jump host gave no answer within %v", n.opts.Timeouts.Dial))
	}
	if r, ok := errors.AsType[*client.RefusedError](err); ok {
		return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialFailed, r)
	}
	return sshreason.Refusal(a, fleet.PhaseDial, fleet.ReasonJumpFailed, err)
}

// pool returns the connections to a jump host. They are shared by targets with the
// same route to it, host-key policy and keys.
func (n *Network) pool(hop ssh.Target) *pool {
	hops := []ssh.Target{hop} // in reverse order of dialling
	for via := hop.Jump(); via != nil; via = via.Jump() {
		hops = append(hops, *via)
	}
	keys := make([]poolKey, len(hops))
	for i, h := range hops {
		keys[i] = keyOf(h)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var p *pool
	for i, key := range slices.Backward(keys) {
		key.via = p
		if p = n.pools[key]; p == nil {
			p = &pool{network: n, hop: hops[i]}
			n.pools[key] = p
		}
	}
	return p
}

// A poolKey identifies a jump host by everything that decides how it is reached,
// checked and logged in to. A superfluous connection costs less than a wrongly shared
// one.
type poolKey struct {
	name     string        // user, address, alias and proxy command
	failure  string        // Endpoint.Err
	settings *ssh.Settings // equal ones of a plan are the same pointer
	via      *pool         // pool of the previous jump host
}

// keyOf returns the key without via.
func keyOf(t ssh.Target) poolKey {
	key := poolKey{name: fmt.Sprintf("%q %q", t.User, t.Address()), settings: t.Settings()}
	if e := t.Endpoint; e != nil {
		key.name = fmt.Sprintf("%s %q %q", key.name, e.HostKeyAlias, e.ProxyCommand)
		if e.Err != nil {
			key.failure = e.Err.Error()
		}
	}
	return key
}

// A stream releases its place on the shared connection when it is closed.
type stream struct {
	*client.Tunnel
	release func()
}

// Close implements net.Conn.
func (s *stream) Close() error {
	err := s.Tunnel.Close()
	s.release()
	return err
}

// retryAfter is the minimum time before a jump host that could not be reached is
// dialled again.
const retryAfter = 10 * time.Second
