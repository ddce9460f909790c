package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
	"shoal/internal/ssh"
)

// An attempt is one try at a target.
type attempt struct {
	run      *run
	job      *limiter.Job
	attempt  ssh.Attempt
	progress ssh.Progress
	number   int // number of the attempt, from 1; 0 means that it was not made
	started  time.Time
	begun    time.Time // as started, and never changed
	output   *Output
	view     View // what Options.Watch gets
	once     sync.Once
	ctx      context.Context         // the run's, and ended by cancel
	cancel   context.CancelCauseFunc // nil without Options.Cancellable
	dialled  bool                    // the limiter knows that the dial is over; for begin's goroutine only
}

func newAttempt(r *run, t *limiter.Job) *attempt {
	t.Attempts++
	f := &attempt{
		run: r, job: t, number: t.Attempts, started: time.Now(),
		output: newOutput(t.Target.Target, t.Attempts, &r.opts, &r.held, r.fail),
	}
	f.begun, f.view.attempt, f.ctx = f.started, f, r.ctx
	if r.opts.Cancellable {
		f.ctx, f.cancel = context.WithCancelCause(r.ctx)
	}
	t.Timeline, t.Signed = &f.progress.Timeline, &f.progress.Signed
	f.attempt.Progress = &f.progress
	f.attempt.Target = t.Target
	f.attempt.Stdout = f.output.writer(fleet.Stdout)
	f.attempt.Stderr = f.output.writer(fleet.Stderr)
	f.attempt.Limit = r.opts.CommandTimeout
	f.attempt.Hold, f.attempt.Idempotent = r.opts.Barrier, r.opts.Idempotent
	if r.opts.Verbose != nil {
		f.attempt.Verbose = func(line string) { r.opts.Verbose(t.Target.Target, line) }
	}
	f.attempt.Keep = r.opts.Epilogue != nil
	f.attempt.Drain = r.dialCtx.Done()
	f.step(Connecting)
	if r.opts.Intend != nil {
		f.attempt.Intent = func() error {
			var address netip.AddrPort
			if f.progress.Address != nil {
				address = *f.progress.Address
			}
			r.store(1)
			defer r.store(-1)
			return r.opts.Intend(t.Target.Target, f.number, address)
		}
	}
	if r.opts.Dialled != nil {
		f.attempt.Dialled = func(address netip.AddrPort) { r.opts.Dialled(t.Target.Target, f.number, address) }
	}
	return f
}

// step tells Options.Watch.
func (f *attempt) step(s Step) {
	if f.run.opts.Watch != nil {
		f.run.opts.Watch(&f.view, s)
	}
}

// begin dials and starts the command. It returns when the dial is over; finish
// receives the command's end.
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
	if c := f.progress.Connection; c != nil && c.Held && !f.run.opts.Barrier {
		f.asks()
	} else {
		f.over(limiter.Succeeded)
	}
	f.step(Running)
	switch {
	case f.run.dialCtx.Err() != nil && f.attempt.Execution.Withdraw(context.Cause(f.run.dialCtx)):
		_ = conn.Close()
		f.finish(cancelled(f.run.dialCtx))
	case f.run.opts.Barrier:
		f.run.hold(f, conn)
	default:
		conn.Start(f.ctx, f.done(conn))
	}
}

// done returns the function that receives the end of the command on conn.
func (f *attempt) done(conn ssh.Conn) func(fleet.End) {
	if f.run.opts.Epilogue == nil {
		return f.finish
	}
	return func(end fleet.End) { f.finishOn(conn, end) }
}

// dial connects. Cancelling the attempt's context ends it. A drain or a failure limit
// ends it only before the intent to send the command is recorded; after that the
// command may already run, and is allowed to finish.
func (f *attempt) dial() (ssh.Conn, error) {
	r := f.run
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	stop := context.AfterFunc(r.dialCtx, func() {
		if cause := context.Cause(r.dialCtx); f.attempt.Execution.Withdraw(cause) {
			cancel(cause)
		}
	})
	defer stop()
	return r.opts.Dialer.Dial(ctx, &f.attempt)
}

// over reports the outcome of the dial to the limiter.
func (f *attempt) over(o limiter.Outcome) {
	f.dialled = true
	f.run.mu.Lock()
	defer f.run.mu.Unlock()
	if o == limiter.Succeeded {
		f.run.lack.over()
		f.run.agent(f.job.Target).over()
	}
	f.run.limiter.Connected(f.job, o, f.run.opts.Clock.Now())
}

// asks reports that the command is sent on a connection that was held, whose time is not that of a
// connect.
func (f *attempt) asks() {
	f.dialled = true
	f.run.mu.Lock()
	defer f.run.mu.Unlock()
	f.run.limiter.Asks(f.job, f.run.opts.Clock.Now())
}

// unmade undoes the counting of this attempt.
func (f *attempt) unmade() {
	f.job.Attempts--
	f.number, f.started = 0, time.Time{}
}

// failed converts a Dialer's error into an end.
func (f *attempt) failed(err error) fleet.End {
	if fe, ok := errors.AsType[*fleet.Error](err); ok {
		return fe.End()
	}
	// Not a *fleet.Error: how far the attempt came is unknown.
	return f.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonInternal, err).End()
}

// panicked ends the attempt after a panic of the Dialer. If the intent was
// recorded, the command may have been sent.
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

// rescue is deferred to turn a panic of conn into this target's result.
func (f *attempt) rescue(conn ssh.Conn) {
	if p := recover(); p != nil {
		f.panicked(p)
		hangUp(conn)
	}
}

// hangUp closes conn after a panic and ignores another one.
func hangUp(conn ssh.Conn) {
	defer func() { _ = recover() }()
	_ = conn.Close()
}

// finish delivers the result, or queues the target for another attempt. It does not
// block; only the first call has an effect.
func (f *attempt) finish(end fleet.End) { f.finishOn(nil, end) }

// finishOn is finish for a command whose connection conn may be kept; nil: it is not.
func (f *attempt) finishOn(conn ssh.Conn, end fleet.End) {
	f.once.Do(func() {
		stdout, stderr, held := f.output.close()
		f.step(Ended)
		if f.cancel != nil {
			defer f.cancel(nil)
		}
		kept := f.keep(conn, end)
		r := f.run
		r.mu.Lock()
		defer r.mu.Unlock()
		r.limiter.Answered(f.job, r.opts.Clock.Now())
		f.job.Signatures += f.progress.AgentUse.Signatures()
		f.job.Intended = f.job.Intended || f.attempt.Execution.Intended()
		end.Outcome = f.attempt.Execution.Check(end.Outcome)
		end = notCancelled(f.job, stopped(r.dialCtx, end))
		f.tellEnd(end)
		again, end := r.decide(f, end)
		if again {
			r.setAside(f.job, end, limiter.Written{Streams: [fleet.NumStreams]fleet.Output{stdout, stderr}, Held: held})
			f.step(Waiting)
		} else {
			r.deliver(delivery{result: f.result(end, stdout, stderr), held: held, aside: f.job.Written, flying: true, kept: kept})
		}
		r.changed()
	})
}

// setAside keeps the output of an attempt that is followed by another if the target's result
// may be that of this attempt, in place of what was kept before. mu must be held.
func (r *run) setAside(t *limiter.Job, end fleet.End, written limiter.Written) {
	if end.Outcome == fleet.OutcomeUnknown {
		written, t.Written = t.Written, written
	}
	r.held.give(written.Held)
}

// tellEnd tells Options.Verbose how the attempt ended, and how long its phases took.
func (f *attempt) tellEnd(end fleet.End) {
	if f.attempt.Verbose == nil || f.number == 0 {
		return
	}
	text := end.Outcome.String()
	switch {
	case end.Signal != "":
		text += fmt.Sprintf(", signal %.40q", end.Signal)
	case end.Flags.Has(fleet.FlagExitKnown):
		text += fmt.Sprintf(", exit status %d", end.Status)
	}
	if end.Reason != fleet.ReasonNone {
		text += fmt.Sprintf(", %s in %s", end.Reason, end.Phase)
	}
	f.attempt.Tell("attempt %d: %s; %s", f.number, text, phaseTimes(f.attempt.Timeline.Took()))
	if err := end.Err; err != nil {
		if fe, ok := err.(*fleet.Error); ok { //nolint:errorlint // only the outermost one repeats what was told
			err = fe.Err
		}
		f.attempt.Tell("attempt %d: %s", f.number, ssh.Brief(err))
	}
}

// phaseTimes lists the times of the phases in milliseconds.
func phaseTimes(took fleet.Durations) string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }
	text := ms(took.Total()) + " ms"
	sep := ": "
	for p, d := range took {
		if d > 0 {
			text += sep + fleet.Phase(p).String() + " " + ms(d)
			sep = ", "
		}
	}
	return text
}

func (f *attempt) result(end fleet.End, stdout, stderr fleet.Output) fleet.Result {
	res := fleet.Result{
		Target:  f.attempt.Target.Target,
		End:     end,
		Attempt: f.job.Attempts,
		Earlier: f.job.Earlier,
		Started: f.started,
		Took:    f.attempt.Timeline.Took(),
		Stdout:  stdout,
		Stderr:  stderr,

		AgentSignatures: f.job.Signatures,
		Connection:      f.progress.Connection,
	}
	if said := f.progress.BecomeOutput; said != nil {
		res.BecomeOutput = *said
	}
	if e := f.progress.Elsewhere; e != nil {
		res.Attempt, res.Started, res.Took, res.AgentSignatures = e.Attempt, e.Started, e.Took, e.AgentSignatures
		res.Stdout.Size, res.Stderr.Size = res.Stdout.Size+e.Stdout.Size, res.Stderr.Size+e.Stderr.Size
	}
	markTruncated(&res)
	return res
}

func markTruncated(res *fleet.Result) {
	if res.Stdout.Truncated() || res.Stderr.Truncated() {
		res.Flags |= fleet.FlagOutputTruncated
	}
}

// notCancelled returns end, but never started instead of cancelled for a target
// with a recorded intent: cancelled means stopped before its turn.
func notCancelled(t *limiter.Job, end fleet.End) fleet.End {
	if end.Outcome == fleet.OutcomeCancelled && t.Intended {
		end.Outcome = fleet.OutcomeNeverStarted
	}
	return end
}

// decide calls again and turns a panic in it into the target's result, which would
// otherwise be missing. mu must be held.
func (r *run) decide(f *attempt, end fleet.End) (again bool, final fleet.End) {
	final = end
	defer func() {
		if p := recover(); p != nil {
			final.Reason, final.Err = fleet.ReasonInternal, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	again = r.again(f, &final)
	return again, final
}

// again reports whether the target gets another attempt, and queues it if so. If the
// run has stopped itself before, it says so in end. mu must be held.
func (r *run) again(f *attempt, end *fleet.End) bool {
	t := f.job
	switch {
	case r.shut() && r.braked() && f.number > 0 && (r.isLack(*end) || f.number < r.opts.Attempts && r.retry.canPass(*end, t.Target.Target, f.number)):
		end.Flags |= fleet.FlagBraked
		return false
	case end.Outcome.Ran() || r.shut() || f.ctx.Err() != nil || f.number == 0 || r.agent(t.Target).gone != nil:
		return false
	case r.isLocalFault(f, *end):
		f.attempt.Tell("this machine lacks something (%s): the target waits for it", end.Reason)
		r.requeue(t, end.Reason, r.opts.Clock.Now())
		return true
	case !r.retry.grant(*end, t.Target.Target, f.number):
		return false
	}
	wait := backoff(end.Reason, f.number)
	at := r.opts.Clock.Now().Add(wait)
	if f.attempt.Verbose != nil {
		why := "certainly ran nothing, and " + string(end.Reason) + " may pass"
		if end.Outcome == fleet.OutcomeUnknown {
			why = "may have run, and the command may run twice"
		}
		f.attempt.Tell("trying again in %v: it %s", wait.Round(time.Millisecond), why)
	}
	t.Earlier = append(t.Earlier, fleet.Try{End: *end, Started: f.started, Took: time.Since(f.started)})
	t.Suspect = timedOutConnecting(*end)
	r.limiter.Release()
	r.limiter.EnqueueAt(t, at)
	return true
}
