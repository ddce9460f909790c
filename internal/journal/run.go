package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"shoal/fleet"
)

// ErrOver says that the run was ended, or the journal closed.
var ErrOver = errors.New("the run is over")

// A Run is a run that goes on. It is safe for concurrent use.
type Run struct {
	j       *Journal
	info    RunInfo
	session *Session // the last of info's; the writer's until it has stopped
	indexes bitset
	lock    *lock
	known   stored
	queue   *queue

	// failed is closed by the writer when the journal can no longer be written.
	failed chan struct{}
	// stopped is closed by the writer when it returns.
	stopped chan struct{}
	lost    int // results that were not stored; the writer's until it has stopped
	summer  rowSum

	once sync.Once // the end
}

// start makes the run that holds the lock, and starts its writer.
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

// ID identifies the run.
func (r *Run) ID() string { return r.info.Run }

// Session is 0 in the process that began the run, and one more in each that
// goes on with it.
func (r *Run) Session() int { return int(r.session.n) - 1 }

// Failed is closed when the journal can no longer be written. The run should
// then stop dispatching: every later Intend fails, so nothing would start.
func (r *Run) Failed() <-chan struct{} { return r.failed }

// Intend writes down that the command is about to be sent to the target for this
// attempt, and returns once that is as safe as Options.Durability says. After an
// error the command must not be sent. It may be called by many goroutines at
// once, which is what makes it cheap, and again for the same attempt.
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

// Result writes down how a target ended. It does not wait for the disk unless
// too much waits already, and keeps the result's bytes until it is written: they
// must not be changed. A result that could not be written is told of by the
// next call, by Flush and by End; its target then stands as the intents say.
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

// Flush returns once all that was given before is as safe as Options.Durability
// says.
func (r *Run) Flush() error {
	b, err := r.queue.mark()
	if err != nil {
		return err
	}
	<-b.done
	return b.err
}

// End writes how the run ended, once everything before is written, and gives it
// free. Its error tells everything that is not in the journal. It is called once.
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
		// Not the caller's context: a run that is cancelled ends all the same.
		errs = append(errs, r.j.endSession(context.Background(), &r.info, &s))
	}
	r.j.opts.hook(stepEnded)
	errs = append(errs, r.lock.release())
	r.j.unregister(r)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ending run %s: %w", r.info.Run, err)
	}
	return nil
}

// breakOff leaves the run as the end of the process would.
func (r *Run) breakOff() (err error) {
	r.once.Do(func() {
		err = errors.Join(r.stop(), r.lock.drop())
		r.j.unregister(r)
	})
	return err
}

// stop waits until all that was given is written, and ends the writer.
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
