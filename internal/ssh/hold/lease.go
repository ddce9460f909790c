package hold

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A lease is a connection for one attempt, and for those that follow it by StartNext. It
// implements ssh.Conn.
type lease struct {
	pool    *Pool
	attempt *ssh.Attempt
	held    *held    // nil: the connection cannot be held
	conn    ssh.Conn // held.conn, if held is not nil
	first   bool     // it was dialled for this attempt

	mu     sync.Mutex
	runs   bool // an attempt has been started and has not ended
	ran    bool // one has ended
	closed bool
}

// errClosed is the cause of an attempt that starts after Close.
var errClosed = errors.New("the connection was closed before the command was started")

// starts records the start of a. It reports false, after done was called, if Close has given the
// connection back: another attempt may use it by now.
func (l *lease) starts(a *ssh.Attempt, done func(fleet.End)) bool {
	l.mu.Lock()
	given := l.closed && (l.ran || !l.first)
	l.runs = l.runs || !given
	l.mu.Unlock()
	if given {
		done(a.FailIn(fleet.PhaseSession, a.Execution.Failed(), fleet.ReasonInterrupted, errClosed).End())
	}
	return !given
}

// Start implements ssh.Conn.
func (l *lease) Start(ctx context.Context, done func(fleet.End)) {
	if !l.starts(l.attempt, done) {
		return
	}
	if l.first {
		l.conn.Start(ctx, func(end fleet.End) { l.ended(end, done) })
		return
	}
	l.conn.StartNext(ctx, l.pool.own(l.attempt), func(end fleet.End) {
		if why := redials(end); why != "" && ctx.Err() == nil && !l.drained() && l.pool.begin() {
			go l.redial(ctx, why, end, done)
			return
		}
		l.ended(end, done)
	})
}

func (l *lease) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// drained reports whether nothing more is to be started.
func (l *lease) drained() bool {
	select {
	case <-l.attempt.Drain:
		return true
	default:
		return false
	}
}

// redials returns why an attempt that has ended so on a held connection is to be dialled instead;
// "" means that it is not, because it ran or would fail again.
func redials(end fleet.End) fleet.DialReason {
	if end.Outcome != fleet.OutcomeNeverStarted {
		return ""
	}
	switch end.Reason {
	case fleet.ReasonSessionRefused:
		return fleet.DialRefused
	case fleet.ReasonConnClosed, fleet.ReasonConnReset, fleet.ReasonDisconnected, fleet.ReasonVanished, fleet.ReasonStalled,
		fleet.ReasonSessionTimeout, fleet.ReasonProtocolError, fleet.ReasonProtocolAbuse:
		return fleet.DialLost
	case fleet.ReasonInterrupted: // the connection was closed on this side
		return fleet.DialLetGo
	}
	return ""
}

// begin counts a goroutine of redial, unless the pool is closed.
func (p *Pool) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.leases.Add(1)
	return true
}

// redial dials in place of a held connection on which the attempt has certainly not run.
func (l *lease) redial(ctx context.Context, why fleet.DialReason, end fleet.End, done func(fleet.End)) {
	p := l.pool
	defer p.leases.Done()
	a := l.attempt
	a.Tell("the held connection was of no use: %s in %s: %s", end.Reason, end.Phase, ssh.Brief(end.Err))
	l.mu.Lock()
	old := l.held
	l.held = nil
	l.mu.Unlock()
	if old != nil { // otherwise Close has discarded it
		p.discard(old, why)
	}
	select {
	case p.dials <- struct{}{}:
	case <-a.Drain:
		done(end)
		return
	case <-ctx.Done():
		done(sshreason.Interrupted(ctx, a).End())
		return
	}
	if l.isClosed() {
		<-p.dials
		done(end)
		return
	}
	c, err := p.dialInPlace(ctx, a, why)
	<-p.dials
	if err == nil && l.drained() && !a.Execution.Queued() {
		_ = c.Close()
		done(end)
		return
	}
	if err != nil {
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok {
			f = a.Fail(a.Execution.Failed(), fleet.ReasonInternal, fmt.Errorf("dialling in place of a held connection: %w", err))
		}
		done(f.End())
		return
	}
	fresh := c.(*lease)
	l.mu.Lock()
	l.conn, l.held, l.first = fresh.conn, fresh.held, true
	closed := l.closed
	l.mu.Unlock()
	if closed {
		_ = fresh.Close() // its Start says what became of the command
	}
	l.Start(ctx, done)
}

// dialInPlace is dial on a goroutine of its own, where a panic would end the process.
func (p *Pool) dialInPlace(ctx context.Context, a *ssh.Attempt, why fleet.DialReason) (c ssh.Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return p.dial(ctx, a, why)
}

// ended is called when an attempt has ended. If nobody is going to call Close, the connection goes
// back.
func (l *lease) ended(end fleet.End, done func(fleet.End)) {
	l.mu.Lock()
	l.runs, l.ran = false, true
	l.mu.Unlock()
	if !l.attempt.Keep {
		_ = l.Close()
	}
	done(end)
}

// StartNext implements ssh.Conn.
func (l *lease) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	if !l.starts(a, done) {
		return
	}
	l.conn.StartNext(ctx, l.pool.own(a), func(end fleet.End) {
		l.mu.Lock()
		l.runs = false
		l.mu.Unlock()
		done(end)
	})
}

// Close implements ssh.Conn. It gives the connection back to the pool, but closes one whose attempt
// runs, and one that was dialled for an attempt which was not started.
func (l *lease) Close() error {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	conn, h, whole := l.conn, l.held, !l.runs && (l.ran || !l.first)
	l.held = nil
	l.mu.Unlock()
	switch {
	case again:
	case h == nil:
		return conn.Close()
	case whole:
		l.pool.giveBack(h)
	default:
		l.pool.discard(h, fleet.DialLost)
	}
	return nil
}
