package engine

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
)

// Run attempts each target and gives the results as they come. The only errors
// are the run's own: options that do not validate, given before anything starts,
// and a panic of the targets iterator or of a function in opts, given last. Ending
// ctx aborts: commands that run become unknown, everything else becomes cancelled,
// or never started where the intent was written, and all of these results are
// still given. With an endless iterator the loop has to be left.
func Run(ctx context.Context, opts Options, targets iter.Seq[fleet.Target]) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		err := opts.Validate()
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

// results gives every result, and returns when nothing of the run goes on any
// more; false means that the loop was left.
func (r *run) results(targets iter.Seq[fleet.Target], yield func(fleet.Result, error) bool) bool {
	defer r.close()
	r.begin(targets)
	var landed []delivery
	for {
		var notices []string
		var over bool
		landed, notices, over = r.take(landed)
		for _, n := range notices {
			r.opts.Notice(n)
		}
		for i := range landed {
			r.taken(&landed[i])
			if !yield(landed[i].result, nil) {
				return false
			}
		}
		if over {
			return true
		}
		select {
		case <-r.news:
		case res := <-r.skipped:
			if !yield(res, nil) {
				return false
			}
		}
	}
}

// A run is one call of Run while it goes on.
type run struct {
	opts Options
	held budget // output of targets in flight

	ctx     context.Context // ends at an abort, or when the caller leaves the loop
	quit    context.CancelFunc
	dialCtx context.Context // ends at a drain or a brake too: nothing is begun any more
	stopNew context.CancelCauseFunc

	left  chan struct{} // closed by close: nobody takes results any more
	ended chan struct{} // closed when every target that was fed has its result, and no other comes
	// news, room and rearm wake the caller's loop, feed and the clock. Whoever
	// has changed what these wait for sends; the capacity of 1 makes that a flag.
	news, room, rearm chan struct{}
	// skipped carries targets that came after a stop: sent by feed, never closed,
	// unbuffered so that it holds nothing.
	skipped chan fleet.Result
	// jobs hands targets to idle workers: sent by pump, never closed. Its capacity
	// is the most that there are, so that a send never waits.
	jobs chan *attempt

	all   sync.WaitGroup        // every goroutine
	fault atomic.Pointer[error] // the run's own error; the first counts

	mu      sync.Mutex // guards what follows
	limiter *limiter.Limiter
	retry   retries
	brakes  failureLimits
	out     []delivery // results that the caller's loop has not seen
	owed    int        // targets that were fed and have no result yet
	fed     bool       // no other target comes
	stopped bool       // nothing is started any more
	gone    *fleet.End // of all that was not tried when this machine lacked something for good; nil: it does not
	idle    int        // workers that wait for jobs
	armed   time.Time  // when the clock looks next; zero means not before it is woken
	barrier barrier
	lack    lack
	notices []string // that the caller's loop has not told
}

// A landing is a result on its way to the caller.
type delivery struct {
	result fleet.Result
	flying bool // its target is in flight until the result is taken
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
	}
	r.guard()
	r.ctx, r.quit = context.WithCancel(ctx)
	r.dialCtx, r.stopNew = context.WithCancelCause(r.ctx)
	return r
}

func (r *run) begin(targets iter.Seq[fleet.Target]) {
	r.all.Go(func() { r.feed(targets) })
	r.all.Go(r.clock)
	r.all.Go(r.watchDrain)
	r.all.Go(func() {
		<-r.ended
		r.quit()
	})
}

// close stops what still goes on and waits for it.
func (r *run) close() {
	close(r.left)
	r.quit()
	r.all.Wait()
}

// watchDrain stops the starting of commands, whatever the cause.
func (r *run) watchDrain() {
	select {
	case <-r.opts.Drain:
		r.stopNew(errDrained)
	case <-r.dialCtx.Done():
	}
	end := cancelled(r.dialCtx)
	for _, h := range r.stop(end) {
		h.drop(end)
	}
}

// stop gives everything that waits its end, lets nothing else start, and returns
// the connections that were held.
func (r *run) stop(end fleet.End) []held {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.clear(end)
	held := r.barrier.clear()
	r.changed()
	notify(r.room)
	return held
}

// clear gives everything that waits its end. Called with mu held.
func (r *run) clear(end fleet.End) {
	for _, t := range r.limiter.Drain() {
		if t.Abandoned() {
			r.conclude(t, givenUp(t))
		} else {
			r.conclude(t, end)
		}
	}
}

// conclude gives a target that is not in flight its result: the end of its last
// attempt, or else end. Called with mu held.
func (r *run) conclude(t *limiter.Job, end fleet.End) {
	end = notCancelled(t, end)
	r.deliver(delivery{result: fleet.Result{Target: t.Target, End: end, Attempt: t.Attempts, Earlier: t.Earlier}})
}

// deliver hands a result over. Called with mu held.
func (r *run) deliver(l delivery) {
	if last := len(l.result.Earlier) - 1; last >= 0 && l.result.Started.IsZero() {
		// It waited for another attempt, and will not have it.
		t := l.result.Earlier[last]
		l.result.End, l.result.Started, l.result.Earlier = t.End, t.Started, l.result.Earlier[:last]
	}
	if end, ok := mayHaveRunEarlier(l.result.End, l.result.Earlier); ok {
		l.result.End = end
	}
	r.out = append(r.out, l)
	r.owed--
	if err := r.brakes.add(l.result.Outcome); err != nil {
		r.stopNew(&stopError{err}) // the first cause counts
	}
}

// changed starts what may start and wakes who waits for what has changed. Called
// with mu held.
func (r *run) changed() {
	r.dispatch()
	r.progress()
}

// progress sees what the last change has completed. Called with mu held.
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

// take gives the results that have come, for those that it gave last, and what is
// to be told, and says whether there will be no others.
func (r *run) take(seen []delivery) (landed []delivery, notices []string, over bool) {
	clear(seen)
	r.mu.Lock()
	defer r.mu.Unlock()
	landed, r.out = r.out, seen[:0]
	notices, r.notices = r.notices, nil
	return landed, notices, r.fed && r.owed == 0
}

// shut reports whether nothing is started any more. mu must be held.
func (r *run) shut() bool { return r.stopped || r.gone != nil || r.dialCtx.Err() != nil }

// taken makes room for another target.
func (r *run) taken(l *delivery) {
	r.held.give(len(l.result.Stdout.Bytes) + len(l.result.Stderr.Bytes))
	if !l.flying {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limiter.Release()
	r.changed()
}

// notify sets a flag that somebody waits for.
func notify(flag chan struct{}) {
	select {
	case flag <- struct{}{}:
	default:
	}
}

// givenUp is the end of a target whose server was given up.
func givenUp(t *limiter.Job) fleet.End {
	return fleet.End{
		Outcome: fleet.OutcomeNeverStarted,
		Reason:  fleet.ReasonThrottled,
		Err: fmt.Errorf("%q has turned every connection away, and again after each rest; it was not asked again\n"+
			"hint: run this again later, with fewer connections to it at once (--starts-per-host 1)", t.Target.Address()),
	}
}
