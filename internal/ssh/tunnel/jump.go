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
	"net"
	"reflect"
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
}

// An Opener logs in to a jump host; *client.Dialer is one.
type Opener interface {
	Tunnels(ctx context.Context, a *ssh.Attempt) (*client.Tunnels, error)
}

// A Network opens connections according to each target's Route. It is safe for
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
	route := a.Target.Route
	switch {
	case route == nil, route.Err != nil:
		return n.opts.Direct.Open(ctx, a)
	case route.Via != nil:
		a.Timeline.Enter(fleet.PhaseDial)
		return n.through(ctx, a, *route.Via)
	case len(route.ProxyCommand) > 0:
		a.Timeline.Enter(fleet.PhaseDial)
		return n.proxy(ctx, a, route.ProxyCommand)
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

// maxTries limits the tries to open a stream, each on another connection.
const maxTries = 3

// through opens a stream to the target through the jump host hop.
func (n *Network) through(ctx context.Context, a *ssh.Attempt, hop fleet.Target) (net.Conn, error) {
	p := n.pool(hop)
	connecting, late, cancel := n.connecting(ctx, a)
	defer cancel()
	for try := 1; ; try++ {
		m, err := p.acquire(connecting)
		if err != nil {
			return nil, n.failure(ctx, a, err, late)
		}
		within, cancel := n.opts.Clock.WithTimeout(connecting, n.opts.Timeouts.Dial, context.DeadlineExceeded)
		tunnel, err := m.tunnels.Open(within, a.Target.Dialled(), a.Target.Port)
		cancel()
		if err == nil {
			return &stream{Tunnel: tunnel, release: sync.OnceFunc(func() { p.release(m) })}, nil
		}
		p.failed(m, err)
		if try == maxTries || !passing(err) {
			return nil, n.failure(ctx, a, err, late)
		}
	}
}

// connecting returns a context that ends with the attempt's connect timeout, if it has one, and
// then has the cause late.
func (n *Network) connecting(ctx context.Context, a *ssh.Attempt) (_ context.Context, late error, _ context.CancelFunc) {
	limit, now := n.opts.Timeouts.For(a).Connect, n.opts.Clock.Now()
	by := a.ConnectBy(now, limit)
	if by.IsZero() {
		return ctx, nil, func() {}
	}
	late = fmt.Errorf("the jump host was not reached before the %w of %v passed", ssh.ErrConnectTimeout, limit)
	ctx, cancel := n.opts.Clock.WithTimeout(ctx, by.Sub(now), late)
	return ctx, late, cancel
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

// failure classifies the error that kept the target from being reached. late is that of
// connecting.
func (n *Network) failure(ctx context.Context, a *ssh.Attempt, err, late error) *fleet.Error {
	switch {
	case ctx.Err() != nil:
		return sshreason.Interrupted(ctx, a)
	case late != nil && errors.Is(err, late):
		return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialTimeout, late)
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
func (n *Network) pool(hop fleet.Target) *pool {
	hops := []fleet.Target{hop} // in reverse order of dialling
	for r := hop.Route; r != nil && r.Via != nil; r = r.Via.Route {
		hops = append(hops, *r.Via)
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
// checked and logged in to.
type poolKey struct {
	about  string
	detail any   // Route.Detail: files, policy and keys; equal ones are the same pointer
	via    *pool // pool of the previous jump host
}

// keyOf returns the key without via. It includes the whole Route, even fields that
// may not matter: a superfluous connection costs less than a wrongly shared one.
func keyOf(t fleet.Target) poolKey {
	key := poolKey{about: fmt.Sprintf("%q %q", t.User, t.Address())}
	if t.Route == nil {
		return key
	}
	r := *t.Route
	if reflect.ValueOf(r.Detail).Comparable() {
		key.detail, r.Detail = r.Detail, nil
	}
	failure := r.Err // compared by its text: each target has another value
	r.Address, r.Via, r.Err = "", nil, nil
	key.about = fmt.Sprintf("%s %#v %v", key.about, r, failure)
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
