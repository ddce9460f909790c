package tunnel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
)

// A pool is the connections to one jump host.
type pool struct {
	network *Network
	hop     fleet.Target

	mu       sync.Mutex
	members  []*member
	underway chan struct{} // closed when the dial that goes on is over; nil: none
	err      error         // how the last one failed; nil: it did not
	until    time.Time     // when another one may be tried
	closed   bool
}

// A member is one connection.
type member struct {
	tunnels *client.Tunnels
	streams int
	limit   int
}

func (m *member) alive() bool {
	select {
	case <-m.tunnels.Done():
		return false
	default:
		return true
	}
}

// acquire takes a place on a connection, and dials where none has one.
func (p *pool) acquire(ctx context.Context) (*member, error) {
	for {
		p.mu.Lock()
		if m := p.free(); m != nil {
			m.streams++
			p.mu.Unlock()
			return m, nil
		}
		if p.underway == nil {
			if err := p.mayDial(); err != nil {
				p.mu.Unlock()
				return nil, err
			}
			p.underway = make(chan struct{})
			p.network.all.Go(p.dial)
		}
		over := p.underway
		p.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// free gives the least used connection that has a place.
func (p *pool) free() *member {
	p.members = slices.DeleteFunc(p.members, func(m *member) bool { return !m.alive() && m.streams == 0 })
	var best *member
	for _, m := range p.members {
		if m.alive() && m.streams < m.limit && (best == nil || m.streams < best.streams) {
			best = m
		}
	}
	return best
}

var (
	errFull   = errors.New("every connection to the jump host is full")
	errClosed = errors.New("the jump hosts are no longer in use")
)

// mayDial says why no other connection is to be tried now.
func (p *pool) mayDial() error {
	switch {
	case p.closed || p.network.ctx.Err() != nil:
		return errClosed
	case p.err != nil && time.Now().Before(p.until):
		return p.err
	case len(p.members) >= maxConnections:
		return errFull
	}
	return nil
}

// dial adds a connection. It belongs to no target, so that none that gives up
// takes it from the others.
func (p *pool) dial() {
	t, err := p.connect()
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.underway)
	p.underway, p.err = nil, err
	switch {
	case err != nil:
		p.until = time.Now().Add(retryAfter)
	case p.closed:
		_ = t.Close()
	default:
		p.members = append(p.members, &member{tunnels: t, limit: p.network.opts.Streams})
	}
}

// maxDials is how often a jump host is dialled before it counts as lost.
const maxDials = 3

// connect logs in, and tries again where the cause may pass.
func (p *pool) connect() (*client.Tunnels, error) {
	ctx := p.network.ctx
	for try := 1; ; try++ {
		t, err := p.login(ctx)
		if err == nil {
			return t, nil
		}
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok {
			f = &fleet.Error{Phase: fleet.PhaseDial, Reason: fleet.ReasonInternal, Err: err}
		}
		if try == maxDials || !mayPass(f) || !wait(ctx, try) {
			return nil, &fleet.Error{
				Host: p.hop.Host.String(), Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseDial,
				Reason: fleet.ReasonJumpFailed,
				Err:    fmt.Errorf("the jump host %s: %s: %s: %w", p.hop.Host, f.Phase, f.Reason, f.Err),
			}
		}
	}
}

// login logs in once. A panic is its error: this goroutine is no target's, so that
// one would end the process.
func (p *pool) login(ctx context.Context) (t *client.Tunnels, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return p.network.opener.Tunnels(ctx, &ssh.Attempt{Target: p.hop})
}

// mayPass reports whether another dial may not fail for this. One that has used
// up the connect timeout is not followed by another.
func mayPass(f *fleet.Error) bool {
	if errors.Is(f, ssh.ErrConnectTimeout) {
		return false
	}
	switch f.Reason {
	case fleet.ReasonConnReset, fleet.ReasonConnClosed, fleet.ReasonDialTimeout, fleet.ReasonThrottled,
		fleet.ReasonBannerTimeout, fleet.ReasonKexTimeout, fleet.ReasonJumpFailed:
		return true
	}
	return false
}

// wait waits before another dial: up to a second, then up to two.
func wait(ctx context.Context, try int) bool {
	select {
	case <-time.After(time.Duration(try) * rand.N(time.Second)):
		return true
	case <-ctx.Done():
		return false
	}
}

// release gives a place back.
func (p *pool) release(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.streams--
}

// failed gives the place of a stream that was refused back, and expects no more
// of a connection that has reached the server's limit.
func (p *pool) failed(m *member, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.streams--
	if r, ok := errors.AsType[*client.RefusedError](err); ok && r.Code == resourceShortage {
		m.limit = max(1, m.streams)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	members := p.members
	p.members = nil
	p.mu.Unlock()
	for _, m := range members {
		_ = m.tunnels.Close()
	}
}
