package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// A Release reports the opening of a barrier.
type Release struct {
	// Targets is the number of commands that it started.
	Targets int
	// Skew is the time between the start of the first and the last command, as they
	// were passed to the connections.
	Skew time.Duration
}

// A barrier holds authenticated connections until all targets have one.
type barrier struct {
	held     []held
	released []held // since the barrier opened
}

type held struct {
	flight *attempt
	conn   ssh.Conn
}

// clear removes and returns the held connections.
func (b *barrier) clear() []held {
	all := b.held
	b.held = nil
	return all
}

// roomForBarrier returns an error if the fanout is too small for a barrier.
func (o Options) roomForBarrier() error {
	if o.Barrier && o.Targets > o.Fanout {
		return hint.Wrap(fmt.Errorf("a barrier holds all %d targets at once, and the fanout is %d", o.Targets, o.Fanout),
			"raise the limit on open files (ulimit -n) or the fanout, or take fewer targets")
	}
	return nil
}

// hold makes an authenticated connection wait for the others.
func (r *run) hold(f *attempt, conn ssh.Conn) {
	h := held{f, conn}
	if !r.add(h) {
		h.drop(cancelled(r.dialCtx))
	}
}

// add holds h, and reports false if the run no longer starts anything.
func (r *run) add(h held) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.barrier.held = append(r.barrier.held, h)
	r.progress()
	return true
}

// openBarrier starts the held connections once no other target can come, and stops
// the run if they occupy the whole fanout while others wait. mu must be held.
func (r *run) openBarrier() {
	n := len(r.barrier.held)
	switch {
	case n == 0 || r.stopped || r.dialCtx.Err() != nil:
	case r.fed && n == r.owed:
		held := r.barrier.clear()
		r.barrier.released = held
		r.all.Go(func() { r.release(held) })
	case r.limiter.Waiting() > 0 && n == r.limiter.InFlight() && n >= r.limiter.Fanout():
		r.stopNew(&stopError{errors.New("not all targets fit before the barrier: " +
			fmt.Sprintf("%d are authenticated, and there is no room for the others", n))})
	}
}

// release starts the commands of all held connections in parallel. A stop meanwhile
// ends those that have no intent yet.
func (r *run) release(all []held) {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		first   time.Time
		last    time.Time
		started int
	)
	n := min(runtime.GOMAXPROCS(0), len(all))
	for w := range n {
		workers.Go(func() {
			begin, count := time.Now(), 0
			for i := w; i < len(all); i += n {
				if all[i].start() {
					count++
				}
			}
			end := time.Now()
			mu.Lock()
			defer mu.Unlock()
			started += count
			if first.IsZero() || begin.Before(first) {
				first = begin
			}
			if end.After(last) {
				last = end
			}
		})
	}
	workers.Wait()
	if r.opts.Released != nil {
		r.opts.Released(Release{Targets: started, Skew: last.Sub(first)})
	}
}

// start starts the command, and reports false if the run was stopped before; a
// panic becomes this target's result.
func (h held) start() bool {
	defer h.flight.rescue(h.conn)
	r := h.flight.run
	if r.dialCtx.Err() != nil && h.withdraw(context.Cause(r.dialCtx)) {
		h.drop(cancelled(r.dialCtx))
		return false
	}
	h.conn.Start(h.flight.ctx, h.flight.done(h.conn))
	return true
}

// withdraw forbids the command unless its intent is recorded, and reports whether
// it did. A held command's intent is recorded some time after its start.
func (h held) withdraw(cause error) bool { return h.flight.attempt.Execution.Withdraw(cause) }

// drop ends an attempt whose command was not started; a panic becomes this target's
// result.
func (h held) drop(end fleet.End) {
	defer h.flight.rescue(h.conn)
	_ = h.conn.Close()
	h.flight.finish(end)
}
