package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"

	"shoal/fleet"
)

// Run makes one attempt at each target and gives the results as they come. The
// only errors are the run's own: options that do not validate, given before
// anything starts, and a panic of the targets iterator, given last. Ending ctx
// aborts: commands that run become unknown, everything else becomes cancelled,
// and all of these results are still given. With an endless iterator the loop
// has to be left.
func Run(ctx context.Context, opts Options, targets iter.Seq[fleet.Target]) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		if err := opts.Validate(); err != nil {
			yield(fleet.Result{}, err)
			return
		}
		r := newRun(ctx, opts.withDefaults())
		defer r.close()
		r.begin(targets)
		for {
			select {
			case res, more := <-r.results:
				if !more {
					if r.feedErr != nil {
						yield(fleet.Result{}, r.feedErr)
					}
					return
				}
				<-r.slots
				r.held.give(len(res.Stdout.Bytes) + len(res.Stderr.Bytes))
				if !yield(*res, nil) {
					return
				}
			case res := <-r.skipped:
				if !yield(res, nil) {
					return
				}
			}
		}
	}
}

// errDrained is the cause of what Options.Drain cancels.
var errDrained = errors.New("the run was stopped before the command was started here")

// A run is one call of Run while it goes on.
type run struct {
	opts  Options
	gates *gates
	held  budget // output of targets in flight

	ctx     context.Context // ends at an abort, or when the caller leaves the loop
	quit    context.CancelFunc
	dialCtx context.Context // ends at a drain too: nothing has been sent yet
	stopNew context.CancelCauseFunc
	left    chan struct{} // closed by close: nobody takes results any more

	// slots holds one token per target in flight: put in by feed, taken out by
	// the caller's loop with the result. Its capacity is the fanout.
	slots chan struct{}
	// results carries finished flights: sent by finish, closed when the last
	// one is in. Its capacity is the fanout, and every sender holds a slot, so
	// that a send never waits.
	results chan *fleet.Result
	// skipped carries targets that never got a slot: sent by feed, never
	// closed, unbuffered so that it holds nothing.
	skipped chan fleet.Result
	// jobs hands targets to dial workers that are idle: sent and closed by
	// feed, unbuffered.
	jobs chan fleet.Target

	flights sync.WaitGroup // feed, and one for each target in flight
	all     sync.WaitGroup // every goroutine
	feedErr error          // written by feed before results closes
}

func newRun(ctx context.Context, opts Options) *run {
	r := &run{
		opts:    opts,
		gates:   newGates(opts.Starts),
		held:    budget{limit: opts.MaxHeld},
		left:    make(chan struct{}),
		slots:   make(chan struct{}, opts.Fanout),
		results: make(chan *fleet.Result, opts.Fanout),
		skipped: make(chan fleet.Result),
		jobs:    make(chan fleet.Target),
	}
	r.ctx, r.quit = context.WithCancel(ctx)
	r.dialCtx, r.stopNew = context.WithCancelCause(r.ctx)
	return r
}

func (r *run) begin(targets iter.Seq[fleet.Target]) {
	r.flights.Add(1)
	r.all.Go(func() {
		defer r.flights.Done()
		defer close(r.jobs)
		r.feed(targets)
	})
	r.all.Go(r.watchDrain)
	r.all.Go(func() {
		r.flights.Wait()
		r.quit()
		close(r.results)
	})
}

// close stops what still goes on and waits for it.
func (r *run) close() {
	close(r.left)
	r.quit()
	r.all.Wait()
}

func (r *run) watchDrain() {
	select {
	case <-r.opts.Drain:
		r.stopNew(errDrained)
	case <-r.ctx.Done():
	}
}

// feed gives every target a slot in turn and hands it on. After a drain or an
// abort it goes on through the iterator, so that each target has its result.
func (r *run) feed(targets iter.Seq[fleet.Target]) {
	defer func() {
		if p := recover(); p != nil {
			r.feedErr = fmt.Errorf("the targets could not be listed: panic: %v\n%s", p, debug.Stack())
		}
	}()
	workers := 0
	for t := range targets {
		if !r.slot() {
			select {
			case r.skipped <- fleet.Result{Target: t, End: cancelled(r.dialCtx)}:
				continue
			case <-r.left:
				return
			}
		}
		r.flights.Add(1)
		if !r.gates.enter(t) {
			continue // whoever leaves that gate takes t along
		}
		select {
		case r.jobs <- t:
			continue
		default:
		}
		if workers < r.opts.Dials {
			workers++
			r.all.Go(func() { r.work(t) })
			continue
		}
		r.jobs <- t // workers always come back: every dial ends by its deadline or by dialCtx
	}
}

// slot waits for room in the fanout; false means that nothing is started any
// more.
func (r *run) slot() bool {
	if r.dialCtx.Err() != nil {
		return false
	}
	select {
	case r.slots <- struct{}{}:
		return true
	case <-r.dialCtx.Done():
		return false
	}
}

// work dials one target after the other, first to begin with.
func (r *run) work(first fleet.Target) {
	r.chain(first)
	for t := range r.jobs {
		r.chain(t)
	}
}

// chain attempts t and then those that waited at its gate.
func (r *run) chain(t fleet.Target) {
	for ok := true; ok; t, ok = r.gates.leave(t) {
		newFlight(r, t).begin()
	}
}

// cancelled is the end of a target that was stopped before its command was sent.
func cancelled(ctx context.Context) fleet.End {
	return fleet.End{
		Outcome: fleet.OutcomeCancelled,
		Reason:  fleet.ReasonInterrupted,
		Err:     context.Cause(ctx),
	}
}
