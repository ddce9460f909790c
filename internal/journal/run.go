package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"shoal/fleet"
)

// ErrOver means that the run has ended or the journal is closed.
var ErrOver = errors.New("the run is over")

// A Run is a run that this process works on. It is safe for concurrent use.
type Run struct {
	j       *Journal
	info    RunInfo
	session *Session // the last of info's; belongs to the writer until it has stopped
	indexes bitset
	lock    *lock
	known   stored
	queue   *queue

	// failed is closed by the writer when a write has failed.
	failed chan struct{}
	// stopped is closed by the writer when it returns.
	stopped chan struct{}
	lost    int // results that were not stored; belongs to the writer until it has stopped
	summer  rowSum

	once sync.Once // guards the end
}

// start returns the Run whose lock l is, and starts its writer.
func (j *Journal) start(l *lock, info RunInfo, indexes bitset) *Run {
	r := &Run{
		j: j, info: info, indexes: indexes, lock: l,
		session: &info.Sessions[len(info.Sessions)-1],
		queue:   newQueue(j.opts),
		failed:  make(chan struct{}),
		stopped: make(chan struct{}),
	}
	j.register(r)
	go r.write()
	return r
}

// ID returns the identifier of the run.
func (r *Run) ID() string { return r.info.Run }

// Session is 0 in the process that began the run, and one more after each resume.
func (r *Run) Session() int { return int(r.session.n) - 1 }

// Failed returns a channel that is closed when the journal can no longer be written. The
// run should then stop dispatching: every later Intend fails, so no command could start.
func (r *Run) Failed() <-chan struct{} { return r.failed }

// Intend records that the command is about to be sent to the target in this attempt. It
// returns when the record is as durable as Options.Durability says. If it fails, the
// command must not be sent. Concurrent calls share one transaction and are therefore
// cheap. Intend may be called again for the same attempt.
func (r *Run) Intend(index, attempt int) error {
	if err := r.checkTarget(index, attempt); err != nil {
		return err
	}
	b, err := r.queue.put(event{idx: index, attempt: attempt, at: r.j.opts.Now().UnixNano()})
	if err != nil {
		return err
	}
	<-b.done
	return b.err
}

// Result records how a target ended. It waits only if the queue is full. It keeps the
// result's bytes until they are written, so they must not be changed. If a result could
// not be written, the next call, Flush and End return the error, and the target's progress
// follows from its intents.
func (r *Run) Result(res fleet.Result) error {
	if err := r.checkTarget(res.Target.Index, res.Attempt); err != nil {
		return err
	}
	if res.Outcome == fleet.OutcomeNone || res.Outcome >= fleet.NumOutcomes {
		return fmt.Errorf("writing the result of target %d: %s is not an outcome", res.Target.Index, res.Outcome)
	}
	if err := r.queue.failure(); err != nil {
		return err
	}
	_, err := r.queue.put(event{idx: res.Target.Index, attempt: res.Attempt, result: r.prepare(&res)})
	return err
}

// Flush returns when everything recorded so far is as durable as Options.Durability says.
func (r *Run) Flush() error {
	b, err := r.queue.mark()
	if err != nil {
		return err
	}
	<-b.done
	return b.err
}

// End records how the run ended, after everything before it has been written, and releases
// the run's lock. Its error lists everything that the journal lacks. Call End once.
func (r *Run) End(how Ending) error {
	err := fmt.Errorf("ending run %s: %w", r.info.Run, ErrOver)
	r.once.Do(func() { err = r.end(how) })
	return err
}

func (r *Run) end(how Ending) error {
	errs := []error{r.stop()}
	if errs[0] == nil {
		s := *r.session
		s.Ending, s.Ended = how, r.j.opts.Now()
		// Do not use the caller's context: a cancelled run must be ended too.
		errs = append(errs, r.j.endSession(context.Background(), &r.info, &s))
		if errs[1] == nil {
			*r.session = s
		}
	}
	r.j.opts.hook(stepEnded)
	errs = append(errs, r.lock.release())
	r.j.unregister(r)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ending run %s: %w", r.info.Run, err)
	}
	return nil
}

// Amend changes the exit code that End recorded, after what came later: the end of a run
// must not wait for the reader of its output, on whom the exit code depends. It does
// nothing if no end was recorded.
func (r *Run) Amend(code int) error {
	if r.session.Ended.IsZero() {
		return nil
	}
	s := *r.session
	s.ExitCode = code
	if err := r.j.endSession(context.Background(), &r.info, &s); err != nil {
		return fmt.Errorf("changing the exit code of run %s: %w", r.info.Run, err)
	}
	return nil
}

// breakOff releases the run without recording an end, as the death of the process would.
func (r *Run) breakOff() (err error) {
	r.once.Do(func() {
		err = errors.Join(r.stop(), r.lock.drop())
		r.j.unregister(r)
	})
	return err
}

// stop waits until everything is written, and stops the writer.
func (r *Run) stop() error {
	r.queue.end(ErrOver)
	<-r.stopped
	if err := r.queue.failure(); !errors.Is(err, ErrOver) {
		return fmt.Errorf("%d results are not in the journal: %w", r.lost, err)
	}
	return nil
}

func (r *Run) checkTarget(index, attempt int) error {
	if !r.indexes.has(index) {
		return fmt.Errorf("run %s has no target %d", r.info.Run, index)
	}
	const maxAttempts = 1 << 20
	if attempt < 0 || attempt > maxAttempts {
		return fmt.Errorf("%d is not the number of an attempt", attempt)
	}
	return nil
}
