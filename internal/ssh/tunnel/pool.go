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

// A pool holds the connections to one jump host.
type pool struct {
	network *Network
	hop     ssh.Target

	mu       sync.Mutex
	members  []*member
	underway *dialling // nil: none
	err      error     // error of the last dial, if the jump host may be its cause; nil: it is not
	until    time.Time // no dial before, if err is not nil
	renewed  time.Time // what was dialled before is used no more
	closed   bool
}

// A dialling is a dial that is under way.
type dialling struct {
	over chan struct{} // closed when it is over
	err  error         // set before, for those who have waited
}

// A member is one connection.
type member struct {
	tunnels *client.Tunnels
	streams int
	limit   int
	login   time.Time // no later than it
	retired bool      // it gets no stream any more, and is closed after the last one
}

// age is by the clock on the wall too, which goes on while this machine sleeps.
func (m *member) age(now time.Time) time.Duration {
	return max(now.Sub(m.login), now.Round(0).Sub(m.login.Round(0)))
}

func (m *member) alive() bool {
	select {
	case <-m.tunnels.Done():
		return false
	default:
		return true
	}
}

// acquire reserves a stream on a connection, and dials if all are full.
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
			p.underway = &dialling{over: make(chan struct{})}
			p.network.all.Go(p.dial)
		}
		d := p.underway
		p.mu.Unlock()
		select {
		case <-d.over:
			if d.err != nil {
				return nil, d.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// free returns the least used connection that is not full. mu must be held.
func (p *pool) free() *member {
	p.members = slices.DeleteFunc(p.members, func(m *member) bool { return !m.alive() && m.streams == 0 })
	var best *member
	for _, m := range p.members {
		if m.alive() && !m.retired && m.streams < m.limit && (best == nil || m.streams < best.streams) {
			best = m
		}
	}
	return best
}

var (
	errFull   = errors.New("every connection to the jump host is full")
	errClosed = errors.New("the jump hosts are no longer in use")
)

// mayDial returns an error if no further connection may be dialled now. mu must be
// held.
func (p *pool) mayDial() error {
	switch {
	case p.closed || p.network.ctx.Err() != nil:
		return errClosed
	case p.err != nil && time.Now().Before(p.until):
		return p.err
	case p.current() >= maxConnections:
		return errFull
	}
	return nil
}

// current returns the number of connections that are not retired. mu must be held.
func (p *pool) current() (n int) {
	for _, m := range p.members {
		if !m.retired {
			n++
		}
	}
	return n
}

// dial adds a connection. It is independent of any target's context, so that a
// target that gives up does not cancel it for the others.
func (p *pool) dial() {
	began := time.Now()
	t, err := p.connect()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underway.err = err
	close(p.underway.over)
	p.underway, p.err = nil, nil
	switch {
	case err != nil && reasonOf(err) == fleet.ReasonHolderLost: // the jump host may do well for others
	case err != nil:
		p.err, p.until = err, time.Now().Add(retryAfter)
	case p.closed, began.Before(p.renewed):
		_ = t.Close()
	default:
		p.members = append(p.members, &member{tunnels: t, limit: p.network.opts.Streams, login: began})
	}
}

func reasonOf(err error) fleet.Reason {
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		return f.Reason
	}
	return fleet.ReasonNone
}

// retire gives connections of at least this age no further stream.
func (p *pool) retire(age time.Duration) {
	now := time.Now()
	var unused []*member
	p.mu.Lock()
	if at := now.Add(-age); at.After(p.renewed) {
		p.renewed = at
	}
	p.members = slices.DeleteFunc(p.members, func(m *member) bool {
		m.retired = m.retired || m.age(now) >= age
		unneeded := m.retired && m.streams == 0
		if unneeded {
			unused = append(unused, m)
		}
		return unneeded
	})
	p.mu.Unlock()
	for _, m := range unused {
		_ = m.tunnels.Close()
	}
}

// maxDials is the number of dials before the jump host counts as unreachable.
const maxDials = 3

// connect logs in, and retries transient failures.
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
			reason := fleet.ReasonJumpFailed
			switch f.Reason {
			// These are not the jump host's fault.
			case fleet.ReasonLocalFiles, fleet.ReasonLocalPorts, fleet.ReasonLocalMemory, fleet.ReasonHolderLost:
				reason = f.Reason
			}
			return nil, &fleet.Error{
				Host: p.hop.Host.String(), Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseDial,
				Reason: reason,
				Err:    fmt.Errorf("the jump host %s: %s: %s: %w", p.hop.Host, f.Phase, f.Reason, f.Err),
			}
		}
	}
}

// login logs in once. It returns a panic as an error: this goroutine belongs to no
// target, so that a panic would end the process.
func (p *pool) login(ctx context.Context) (t *client.Tunnels, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: p.hop}
	if tell := p.network.opts.Verbose; tell != nil {
		a.Verbose = func(line string) { tell(p.hop.Target, "as a jump host: "+line) }
	}
	return p.network.opener.Tunnels(ctx, a)
}

// mayPass reports whether f is transient. A dial that has used up the connect
// timeout is not retried.
func mayPass(f *fleet.Error) bool {
	return f.Reason.Transient() && !errors.Is(f, ssh.ErrConnectTimeout)
}

// wait waits before another dial: up to 1 s after the first, up to 2 s after the
// second. It reports false if ctx ends.
func wait(ctx context.Context, try int) bool {
	select {
	case <-time.After(time.Duration(try) * rand.N(time.Second)):
		return true
	case <-ctx.Done():
		return false
	}
}

// release returns a stream's place to its connection.
func (p *pool) release(m *member) { p.giveUp(m, nil) }

// giveUp releases the place of a stream, after whose opening failed does something to the connection.
func (p *pool) giveUp(m *member, failed func()) {
	p.mu.Lock()
	m.streams--
	if failed != nil {
		failed()
	}
	last := m.retired && m.streams == 0
	if last {
		p.members = slices.DeleteFunc(p.members, func(other *member) bool { return other == m })
	}
	p.mu.Unlock()
	if last {
		_ = m.tunnels.Close()
	}
}

// failed releases the place of a refused stream, and lowers the limit of a
// connection that has reached the server's.
func (p *pool) failed(m *member, err error) {
	p.giveUp(m, func() {
		if r, ok := errors.AsType[*client.RefusedError](err); ok && r.Code == resourceShortage {
			m.limit = max(1, m.streams)
		}
	})
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
