// Package tunnel opens connections to targets through other hosts: jump hosts
// (ssh -J, ProxyJump) and proxy commands. It implements ssh.Network.
//
// Call [New], give the Network to the Dialer, give that Dialer to [Network.Use],
// because jump hosts are logged in to with the same keys and the same care, and
// Close the Network after the last run.
//
// One connection to a jump host carries many targets, so that a run of ten
// thousand targets starts some tens of connections at it. They are started one
// at a time, and another one only when those that are there are full. A jump
// host that cannot be reached or is lost is one cause, in the same words for
// every target behind it; it is dialled again, at first at once and then not
// before some time has passed.
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

// DefaultStreams is how many streams one connection to a jump host carries. sshd
// needs a descriptor for each and has 1,024 where nobody changed it.
const DefaultStreams = 200

// maxConnections bounds the connections to one jump host.
const maxConnections = 64

// Options say how jump hosts are used. They are not changed after New.
type Options struct {
	// Direct opens what needs no jump host, jump hosts among it. nil means TCP.
	Direct ssh.Network
	// Streams is how many targets share one connection to a jump host. 0 means
	// DefaultStreams.
	Streams int
	// Timeouts bound the waiting for a stream (Dial); zero values are the
	// defaults.
	Timeouts ssh.Timeouts
	// Clock is what these are kept by. nil means the time as it passes.
	Clock *clock.Clock
}

// An Opener logs in to a jump host; *client.Dialer is one.
type Opener interface {
	Tunnels(ctx context.Context, a *ssh.Attempt) (*client.Tunnels, error)
}

// A Network opens connections by each target's Route. It is safe for concurrent
// use.
type Network struct {
	opts   Options
	opener Opener

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	all  sync.WaitGroup // dials of jump hosts and proxy commands

	mu    sync.Mutex
	pools map[poolKey]*pool
}

// New gives a Network. Use has to be called before a target with a jump host is
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

// Use says who logs in to jump hosts. It is called once, before any Open.
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

// maxTries bounds how often a stream is asked for, on another connection each
// time.
const maxTries = 3

// through opens a stream to the target at a jump host.
func (n *Network) through(ctx context.Context, a *ssh.Attempt, hop fleet.Target) (net.Conn, error) {
	p := n.pool(hop)
	for try := 1; ; try++ {
		m, err := p.acquire(ctx)
		if err != nil {
			return nil, n.failure(ctx, a, err)
		}
		within, cancel := n.opts.Clock.WithTimeout(ctx, n.opts.Timeouts.Dial, context.DeadlineExceeded)
		tunnel, err := m.tunnels.Open(within, a.Target.Dialled(), a.Target.Port)
		cancel()
		if err == nil {
			return &stream{Tunnel: tunnel, release: sync.OnceFunc(func() { p.release(m) })}, nil
		}
		p.failed(m, err)
		if try == maxTries || !passing(err) {
			return nil, n.failure(ctx, a, err)
		}
	}
}

// passing says whether another connection to the jump host may do better.
func passing(err error) bool {
	if r, ok := errors.AsType[*client.RefusedError](err); ok {
		return r.Code == resourceShortage
	}
	f, ok := errors.AsType[*fleet.Error](err)
	return ok && f.Reason == fleet.ReasonJumpFailed
}

// resourceShortage is SSH_OPEN_RESOURCE_SHORTAGE (RFC 4254 §5.1).
const resourceShortage = 4

// failure names what kept a target from being reached.
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

// pool gives the connections to a jump host, which targets share whose way to it and
// judgement of it are the same.
func (n *Network) pool(hop fleet.Target) *pool {
	hops := []fleet.Target{hop} // the one that is dialled last first
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

// A poolKey tells jump hosts apart by everything that decides how one is reached,
// judged and logged in to.
type poolKey struct {
	about  string
	detail any   // Route.Detail: which files, policy and keys are the host's; equal ones are one pointer
	via    *pool // of the jump host before it
}

// keyOf gives the key without its via. All of the Route is in it, also what may
// not matter: that costs a connection, the other way round costs more.
func keyOf(t fleet.Target) poolKey {
	key := poolKey{about: fmt.Sprintf("%q %q", t.User, t.Address())}
	if t.Route == nil {
		return key
	}
	r := *t.Route
	if reflect.ValueOf(r.Detail).Comparable() {
		key.detail, r.Detail = r.Detail, nil
	}
	failure := r.Err // in its words: it is another value for each target
	r.Address, r.Via, r.Err = "", nil, nil
	key.about = fmt.Sprintf("%s %#v %v", key.about, r, failure)
	return key
}

// A stream gives its place on the connection back when it is closed.
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

// retryAfter is how long a jump host that could not be reached is left alone.
const retryAfter = 10 * time.Second
