package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// Run attempts each target and yields the results as they complete. Errors are only
// the run's own: invalid options, yielded before anything starts, and a panic of
// the targets iterator or of a function in opts, yielded last. Cancelling ctx
// aborts the run: running commands become unknown, all other targets cancelled, or
// never started if their intent was recorded; all these results are still yielded.
// With an endless iterator the caller has to leave the loop.
func Run(ctx context.Context, opts Options, targets iter.Seq[ssh.Target]) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		err := opts.validateRun()
		if err == nil {
			opts = opts.withDefaults()
			err = opts.roomForBarrier()
		}
		if err != nil {
			yield(fleet.Result{}, err)
			return
		}
		r := newRun(ctx, opts)
		if r.results(targets, yield) {
			if err := r.fault.Load(); err != nil {
				yield(fleet.Result{}, *err)
			}
		}
	}
}

// results yields every result, and returns when nothing of the run is active any
// more; false means that the caller left the loop.
func (r *run) results(targets iter.Seq[ssh.Target], yield func(fleet.Result, error) bool) bool {
	defer r.close()
	r.begin(targets)
	var landed []delivery
	told := false // a result says that the run stopped itself
	for {
		var notices []string
		var over bool
		landed, notices, over = r.take(landed)
		for _, n := range notices {
			r.opts.Notice(n)
		}
		for i := range landed {
			r.taken(&landed[i])
			told = told || landed[i].result.Reason == fleet.ReasonBrake
			if !yield(landed[i].result, nil) {
				drop(landed[i:])
				return false
			}
			r.afterwards(&landed[i])
		}
		if over {
			if r.epilogues != nil {
				r.epilogues.all.Wait()
			}
			if stop, ok := errors.AsType[*stopError](context.Cause(r.dialCtx)); ok && !told && r.fault.Load() == nil {
				r.opts.Notice(stop.Error() + "; every target had been tried by then")
			}
			return true
		}
		select {
		case <-r.news:
		case res := <-r.skipped:
			told = told || res.Reason == fleet.ReasonBrake
			if !yield(res, nil) {
				return false
			}
		}
	}
}

// A run is the state of one call of Run.
type run struct {
	opts Options
	held budget // output of targets in flight

	ctx     context.Context // ends at an abort, or when the caller leaves the loop
	quit    context.CancelFunc
	dialCtx context.Context // ends also at a drain or failure limit: nothing is started then
	stopNew context.CancelCauseFunc

	left  chan struct{} // closed by close: the caller receives no more results
	ended chan struct{} // closed when all targets were fed and have their results
	// news, room and rearm wake the caller's loop, feed and the clock. Whoever changes
	// what these wait for sends; the capacity of 1 makes each a flag.
	news, room, rearm chan struct{}
	// skipped carries the results of targets fed after a stop: sent by feed, never
	// closed, unbuffered so that it holds nothing.
	skipped chan fleet.Result
	// jobs passes attempts to idle workers: sent by dispatch, never closed. Its
	// capacity is the maximum number of idle workers, so that a send never blocks.
	jobs chan *attempt

	all   sync.WaitGroup        // every goroutine
	fault atomic.Pointer[error] // the run's own error; the first counts

	mu      sync.Mutex // guards the fields below
	limiter *limiter.Limiter
	retry   retries
	brakes  failureLimits
	out     []delivery // results that the caller's loop has not taken
	owed    int        // targets fed that have no result yet
	storing int        // see behind
	fed     bool       // all targets were fed
	stopped bool       // nothing more is started
	gone    *fleet.End // end of all untried targets after a permanent local lack; nil: none
	idle    int        // workers that wait for jobs
	armed   time.Time  // when the clock wakes next; zero: not until it is woken
	barrier barrier
	lack    lack
	agents  map[string]*lack // by the name from agentOf
	notices []string         // not yet passed to Options.Notice

	epilogues *epilogues // nil without Options.Epilogue
}

// A delivery is a result on its way to the caller.
type delivery struct {
	result fleet.Result
	held   int             // bytes of its output that count as held in memory
	aside  limiter.Written // see limiter.Job
	flying bool            // its target stays in flight until the result is taken
	kept   *kept           // its target stays in flight until the epilogue has ended; nil: has none
}

func newRun(ctx context.Context, opts Options) *run {
	r := &run{
		opts:    opts,
		held:    budget{limit: opts.MaxHeld},
		left:    make(chan struct{}),
		ended:   make(chan struct{}),
		news:    make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
		rearm:   make(chan struct{}, 1),
		skipped: make(chan fleet.Result),
		jobs:    make(chan *attempt, maxIdle),
		limiter: limiter.New(opts.limits()),
		retry:   retries{most: opts.Attempts, idempotent: opts.Idempotent},
		brakes:  failureLimits{opts: opts},
		agents:  make(map[string]*lack),
	}
	r.guard()
	r.ctx, r.quit = context.WithCancel(ctx)
	r.dialCtx, r.stopNew = context.WithCancelCause(r.ctx)
	if opts.Epilogue != nil {
		r.epilogues = newEpilogues(ctx)
	}
	return r
}

func (r *run) begin(targets iter.Seq[ssh.Target]) {
	r.all.Go(func() { r.feed(targets) })
	r.all.Go(r.clock)
	r.all.Go(r.watchDrain)
	if r.epilogues != nil {
		r.all.Go(r.runEpilogues)
	}
	r.all.Go(func() {
		<-r.ended
		r.quit()
	})
}

// close stops what is still active and waits for it.
func (r *run) close() {
	close(r.left)
	r.quit()
	if r.epilogues != nil {
		r.epilogues.stop()
	}
	r.all.Wait()
	if r.epilogues != nil {
		r.epilogues.all.Wait()
		drop(r.out)
	}
}

// watchDrain stops the starting of commands at a drain or any other end of dialCtx.
func (r *run) watchDrain() {
	select {
	case <-r.opts.Drain:
		r.stopNew(r.opts.drained())
	case <-r.dialCtx.Done():
	}
	if r.opts.Stopping != nil {
		r.opts.Stopping()
	}
	end := cancelled(r.dialCtx)
	held, released := r.stop(end)
	for _, h := range held {
		h.drop(end)
	}
	for _, h := range released {
		h.withdraw(context.Cause(r.dialCtx))
	}
}

// stop ends all waiting targets with end, prevents further starts and returns the
// connections that are held at the barrier and those released from it.
func (r *run) stop(end fleet.End) (held, released []held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.clear(end)
	all := r.barrier.clear()
	r.changed()
	notify(r.room)
	return all, r.barrier.released
}

// clear ends all waiting targets with end. mu must be held.
func (r *run) clear(end fleet.End) {
	for _, t := range r.limiter.Drain() {
		if t.Abandoned() {
			r.conclude(t, givenUp(t))
		} else {
			r.conclude(t, end)
		}
	}
}

// conclude delivers the result of a target that is not in flight: the end of its
// last attempt, or else end. mu must be held.
func (r *run) conclude(t *limiter.Job, end fleet.End) {
	end = notCancelled(t, end)
	r.deliver(delivery{result: fleet.Result{
		Target: t.Target.Target, End: end, Attempt: t.Attempts, Earlier: t.Earlier, AgentSignatures: t.Signatures,
	}, aside: t.Written})
}

// deliver queues a result for the caller. mu must be held.
func (r *run) deliver(l delivery) {
	if last := len(l.result.Earlier) - 1; last >= 0 && l.result.Started.IsZero() {
		// It was waiting for another attempt, which it will not get.
		braked := l.result.Reason == fleet.ReasonBrake
		r.goBack(&l, last)
		if braked {
			l.result.Flags |= fleet.FlagBraked
		}
	}
	if last, ok := mayHaveRunEarlier(l.result.End, l.result.Earlier); ok {
		r.goBack(&l, last)
	}
	r.held.give(l.aside.Held)
	r.out = append(r.out, l)
	r.storing++
	r.owed--
	r.brake(l.result.End)
}

// brake counts an end for the failure limits. mu must be held.
func (r *run) brake(end fleet.End) {
	if r.isLack(end) && len(r.opts.Rollout) == 0 {
		return // a stage of a rollout with such a target has not shown that the command does well
	}
	if err := r.brakes.add(end.Outcome); err != nil {
		r.stopNew(&stopError{err}) // only the first cause counts
	}
}

// goBack makes the result that of the earlier attempt with this index. mu must be held.
func (r *run) goBack(l *delivery, index int) {
	res, t := &l.result, l.result.Earlier[index]
	res.End, res.Attempt, res.Started, res.Took, res.Earlier = t.End, index+1, t.Started, fleet.Durations{}, res.Earlier[:index]
	res.Connection, res.BecomeOutput = nil, "" // they are of a later one
	r.held.give(l.held)
	var written limiter.Written
	if t.Outcome == fleet.OutcomeUnknown { // no later one has this outcome
		written, l.aside = l.aside, limiter.Written{}
	}
	res.Stdout, res.Stderr, l.held = written.Streams[fleet.Stdout], written.Streams[fleet.Stderr], written.Held
	markTruncated(res)
}

// changed starts what may start and wakes the goroutines that wait for a change. mu
// must be held.
func (r *run) changed() {
	r.dispatch()
	r.progress()
}

// progress wakes the goroutines that wait for a change, opens the barrier and ends
// the run when these are due. mu must be held.
func (r *run) progress() {
	if len(r.out) > 0 || len(r.notices) > 0 {
		notify(r.news)
	}
	if r.owed == 0 || r.limiter.Waiting() < r.opts.ahead() {
		notify(r.room)
	}
	r.openBarrier()
	if r.fed && r.owed == 0 {
		select {
		case <-r.ended:
		default:
			close(r.ended)
			notify(r.news)
		}
	}
}

// take returns the new results and notices, and whether there will be no others. It
// reuses the slice of the results that it returned last.
func (r *run) take(seen []delivery) (landed []delivery, notices []string, over bool) {
	clear(seen)
	r.mu.Lock()
	defer r.mu.Unlock()
	landed, r.out = r.out, seen[:0]
	notices, r.notices = r.notices, nil
	return landed, notices, r.fed && r.owed == 0
}

// shut reports whether the run has stopped starting. mu must be held.
func (r *run) shut() bool { return r.stopped || r.gone != nil || r.dialCtx.Err() != nil }

// taken releases what a received result held, and starts other targets.
func (r *run) taken(l *delivery) {
	r.held.give(l.held)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.storing--
	if l.flying && l.kept == nil {
		r.limiter.Release()
	}
	r.changed()
}

// notify sets a flag that another goroutine waits for.
func notify(flag chan struct{}) {
	select {
	case flag <- struct{}{}:
	default:
	}
}

// givenUp returns the end of a target whose server was given up.
func givenUp(t *limiter.Job) fleet.End {
	return fleet.End{
		Outcome: fleet.OutcomeNeverStarted,
		Reason:  fleet.ReasonThrottled,
		Err: hint.Wrap(fmt.Errorf("%q has turned every connection away, and again after each rest; it was not asked again", t.Target.Address()),
			"run this again later, with fewer connections to it at once (--starts-per-host 1)"),
	}
}
