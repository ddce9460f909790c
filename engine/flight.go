package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"shoal/connect"
	"shoal/fleet"
)

// A flight is one target between its slot and its result.
type flight struct {
	run     *run
	attempt connect.Attempt
	tries   int
	started time.Time
	output  *Tail
	once    sync.Once
}

func newFlight(r *run, t fleet.Target) *flight {
	f := &flight{run: r, output: newTail(t, r.opts.MaxOutput, &r.held, r.opts.Follow)}
	f.attempt.Target = t
	f.attempt.Stdout = f.output.writer(fleet.Stdout)
	f.attempt.Stderr = f.output.writer(fleet.Stderr)
	return f
}

// begin dials and starts the command. It returns when the dial is over: the
// command's end comes to finish.
func (f *flight) begin() {
	var (
		conn connect.Conn
		err  error
	)
	defer func() {
		if p := recover(); p != nil {
			f.panicked(p)
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
	if f.run.dialCtx.Err() != nil {
		f.finish(cancelled(f.run.dialCtx))
		return
	}
	f.tries, f.started = 1, time.Now()
	conn, err = f.run.opts.Dialer.Dial(f.run.dialCtx, &f.attempt)
	if err != nil {
		f.finish(f.failed(err))
		return
	}
	if f.run.dialCtx.Err() != nil {
		_ = conn.Close()
		f.finish(cancelled(f.run.dialCtx))
		return
	}
	conn.Start(f.run.ctx, f.finish)
}

// failed gives the end that a Dialer's error stands for.
func (f *flight) failed(err error) fleet.End {
	if fe, ok := errors.AsType[*fleet.Error](err); ok {
		return fe.End()
	}
	// Not one of the seam's own errors: nobody can tell how far it came.
	return f.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonInternal, err).End()
}

// panicked gives the flight its end after a panic of the Dialer. Nobody can tell
// whether the command had been sent, unless the phase is well before it.
func (f *flight) panicked(p any) {
	outcome := fleet.OutcomeUnknown
	if f.attempt.Timeline.Phase() < fleet.PhaseAuth {
		outcome = fleet.OutcomeNeverStarted
	}
	f.finish(f.attempt.Fail(outcome, fleet.ReasonInternal,
		fmt.Errorf("panic: %v\n%s", p, debug.Stack())).End())
}

// finish gives the result. It never waits; the first call counts.
func (f *flight) finish(end fleet.End) {
	f.once.Do(func() {
		res := &fleet.Result{
			Target:  f.attempt.Target,
			End:     end,
			Attempt: f.tries,
			Started: f.started,
			Took:    f.attempt.Timeline.Took(),
		}
		res.Stdout, res.Stderr = f.output.close()
		if res.Stdout.Truncated() || res.Stderr.Truncated() {
			res.Flags |= fleet.FlagOutputTruncated
		}
		f.run.results <- res
		f.run.flights.Done()
	})
}
