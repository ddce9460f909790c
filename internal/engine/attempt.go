package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
	"shoal/internal/ssh"
)

// A flight is one attempt at a target.
type attempt struct {
	run     *run
	job     *limiter.Job
	attempt ssh.Attempt
	number  int // of the attempt, from 1; 0 means that it was not made
	started time.Time
	output  *Output
	once    sync.Once
	dialled bool // the limiter knows that the dial is over; only begin's goroutine looks
}

func newAttempt(r *run, t *limiter.Job) *attempt {
	t.Attempts++
	f := &attempt{
		run: r, job: t, number: t.Attempts, started: time.Now(),
		output: newOutput(t.Target, r.opts.MaxOutput, &r.held, r.opts.Follow),
	}
	t.Timeline = &f.attempt.Timeline
	f.attempt.Target = t.Target
	f.attempt.Stdout = f.output.writer(fleet.Stdout)
	f.attempt.Stderr = f.output.writer(fleet.Stderr)
	f.attempt.Hold = r.opts.Barrier
	if r.opts.Intend != nil {
		f.attempt.Intent = func() error { return r.opts.Intend(t.Target, f.number) }
	}
	return f
}

// begin dials and starts the command. It returns when the dial is over: the
// command's end comes to finish.
func (f *attempt) begin() {
	var (
		conn ssh.Conn
		err  error
	)
	defer func() {
		if p := recover(); p != nil {
			f.panicked(p)
			if conn != nil {
				hangUp(conn)
			}
		}
	}()
	if f.run.dialCtx.Err() != nil {
		f.over(limiter.Inconclusive)
		f.unmade()
		f.finish(cancelled(f.run.dialCtx))
		return
	}
	conn, err = f.dial()
	if err != nil {
		end := f.failed(err)
		f.over(loadOutcome(end))
		f.finish(end)
		return
	}
	f.over(limiter.Succeeded)
	switch {
	case f.run.dialCtx.Err() != nil && f.attempt.Execution.Withdraw(context.Cause(f.run.dialCtx)):
		_ = conn.Close()
		f.finish(cancelled(f.run.dialCtx))
	case f.run.opts.Barrier:
		f.run.hold(f, conn)
	default:
		conn.Start(f.run.ctx, f.finish)
	}
}

// dial connects. A stop of the run ends it, but a drain or a brake does not once
// it is written down that the command is about to be sent: it may run already,
// and is let go on to its end.
func (f *attempt) dial() (ssh.Conn, error) {
	r := f.run
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	stop := context.AfterFunc(r.dialCtx, func() {
		if cause := context.Cause(r.dialCtx); f.attempt.Execution.Withdraw(cause) {
			cancel(cause)
		}
	})
	defer stop()
	return r.opts.Dialer.Dial(ctx, &f.attempt)
}

// over tells the limiter that the dial is.
func (f *attempt) over(o limiter.Outcome) {
	f.dialled = true
	f.run.mu.Lock()
	defer f.run.mu.Unlock()
	if o == limiter.Succeeded {
		f.run.lack.over()
	}
	f.run.limiter.Connected(f.job, o, f.run.opts.Clock.Now())
}

// unmade takes back that this is an attempt.
func (f *attempt) unmade() {
	f.job.Attempts--
	f.number, f.started = 0, time.Time{}
}

// failed gives the end that a Dialer's error stands for.
func (f *attempt) failed(err error) fleet.End {
	if fe, ok := errors.AsType[*fleet.Error](err); ok {
		return fe.End()
	}
	// Not one of the seam's own errors: nobody can tell how far it came.
	return f.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonInternal, err).End()
}

// panicked gives the flight its end after a panic of the Dialer. Nobody can tell
// whether the command was sent once that it would be is written down.
func (f *attempt) panicked(p any) {
	if !f.dialled {
		f.over(limiter.Inconclusive)
	}
	outcome := fleet.OutcomeUnknown
	if !f.attempt.Execution.Intended() {
		outcome = fleet.OutcomeNeverStarted
	}
	f.finish(f.attempt.Fail(outcome, fleet.ReasonInternal,
		fmt.Errorf("panic: %v\n%s", p, debug.Stack())).End())
}

// rescue is deferred where a panic of conn is to be this target's result alone.
func (f *attempt) rescue(conn ssh.Conn) {
	if p := recover(); p != nil {
		f.panicked(p)
		hangUp(conn)
	}
}

// hangUp closes conn after a panic; another one changes nothing any more.
func hangUp(conn ssh.Conn) {
	defer func() { _ = recover() }()
	_ = conn.Close()
}

// finish gives the result, or lets the target wait for another attempt. It never
// waits; the first call counts.
func (f *attempt) finish(end fleet.End) {
	f.once.Do(func() {
		stdout, stderr := f.output.close()
		r := f.run
		r.mu.Lock()
		defer r.mu.Unlock()
		f.job.Intended = f.job.Intended || f.attempt.Execution.Intended()
		end.Outcome = f.attempt.Execution.Check(end.Outcome)
		again, end := r.decide(f, notCancelled(f.job, stopped(r.dialCtx, end)))
		if again {
			r.held.give(len(stdout.Bytes) + len(stderr.Bytes))
		} else {
			r.deliver(delivery{result: f.result(end, stdout, stderr), flying: true})
		}
		r.changed()
	})
}

func (f *attempt) result(end fleet.End, stdout, stderr fleet.Output) fleet.Result {
	res := fleet.Result{
		Target:  f.attempt.Target,
		End:     end,
		Attempt: f.job.Attempts,
		Earlier: f.job.Earlier,
		Started: f.started,
		Took:    f.attempt.Timeline.Took(),
		Stdout:  stdout,
		Stderr:  stderr,
	}
	if stdout.Truncated() || stderr.Truncated() {
		res.Flags |= fleet.FlagOutputTruncated
	}
	return res
}

// notCancelled is end, but for a target of which an attempt was about to send the
// command: what is cancelled was stopped before its turn.
func notCancelled(t *limiter.Job, end fleet.End) fleet.End {
	if end.Outcome == fleet.OutcomeCancelled && t.Intended {
		end.Outcome = fleet.OutcomeNeverStarted
	}
	return end
}

// decide is again. A panic there would leave the target without a result: it is
// the result. mu must be held.
func (r *run) decide(f *attempt, end fleet.End) (again bool, final fleet.End) {
	final = end
	defer func() {
		if p := recover(); p != nil {
			final.Reason, final.Err = fleet.ReasonInternal, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.again(f, end), final
}

// again lets the flight's target wait for another attempt, if there is one.
// Called with mu held.
func (r *run) again(f *attempt, end fleet.End) bool {
	t := f.job
	switch {
	case end.Outcome.Ran() || r.shut() || f.number == 0:
		return false
	case r.isLocalFault(f, end):
		r.requeue(t, end.Reason, r.opts.Clock.Now())
		return true
	case !r.retry.grant(end, t.Target, f.number):
		return false
	}
	at := r.opts.Clock.Now().Add(backoff(end.Reason, f.number))
	t.Earlier = append(t.Earlier, fleet.Try{End: end, Started: f.started, Took: time.Since(f.started)})
	t.Suspect = timedOutConnecting(end)
	r.limiter.Release()
	r.limiter.EnqueueAt(t, at)
	return true
}
