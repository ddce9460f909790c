package engine

import (
	"context"
	"errors"
	"fmt"
	"math"

	"shoal/fleet"
)

// errDrained is the cause of cancellations by Options.Drain.
var errDrained = errors.New("the run was stopped before the command was started here")

// A drainError is the cause of cancellations by Options.Drain with Options.Drained.
type drainError struct {
	reason fleet.Reason
	why    error
}

func (e *drainError) Error() string { return errDrained.Error() + ": " + e.why.Error() }
func (e *drainError) Unwrap() error { return e.why }

// drained returns the cause of cancellations by Options.Drain.
func (o *Options) drained() error {
	if o.Drained == nil {
		return errDrained
	}
	reason, why := o.Drained()
	if reason == fleet.ReasonInterrupted || why == nil {
		return errDrained
	}
	return &drainError{reason, why}
}

// A stopError is the cause of cancellations by the run itself.
type stopError struct{ why error }

func (e *stopError) Error() string { return "the run stopped itself: " + e.why.Error() }
func (e *stopError) Unwrap() error { return e.why }

// fewest is the smallest number of results that a percentage is taken of if the
// number of targets is unknown.
const fewest = 20

// failureLimits counts outcomes and checks them against the failure limits.
type failureLimits struct {
	opts  Options
	goes  int // targets admitted by the rollout; 0 means all
	count [fleet.NumOutcomes]int
	ended int
}

// add counts a result and returns an error if it reaches a limit.
func (b *failureLimits) add(o fleet.Outcome) error {
	b.count[o]++
	b.ended++
	switch o {
	case fleet.OutcomeOK, fleet.OutcomeCancelled, fleet.OutcomeDetached:
		return nil
	}
	if b.opts.FailFast {
		return fmt.Errorf("a target is %v", o)
	}
	failed := b.count[fleet.OutcomeFailed] + b.count[fleet.OutcomeSignalled] + b.count[fleet.OutcomeRefused]
	never, unknown := b.count[fleet.OutcomeNeverStarted], b.count[fleet.OutcomeUnknown]
	if b.reached(b.opts.MaxFail, failed+never) {
		var what string
		switch {
		case never == 0:
			what = hasHave(failed) + " failed"
		case failed == 0:
			what = wasWere(never) + " never started"
		default:
			what = "have failed or were never started"
		}
		return fmt.Errorf("%s %s; the limit is %v", targets(failed+never), what, *b.opts.MaxFail)
	}
	if b.reached(b.opts.MaxUnknown, unknown) {
		return fmt.Errorf("it is unknown of %s whether the command ran; the limit is %v", targets(unknown), *b.opts.MaxUnknown)
	}
	return nil
}

func targets(n int) string {
	if n == 1 {
		return "1 target"
	}
	return fmt.Sprintf("%d targets", n)
}

func hasHave(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

func wasWere(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// reached reports whether n targets are as many as the limit s; nil is no limit. A
// percentage of the targets is rounded up, to at least one target.
func (b *failureLimits) reached(s *Amount, n int) bool {
	if s == nil {
		return false
	}
	if s.Percent == 0 {
		return n >= s.Count
	}
	base := b.goes
	if base == 0 {
		base = b.opts.Targets
	}
	if base == 0 {
		base = max(b.ended, fewest)
	}
	const slack = 1e-9 // 1.1 % of 3,000 are 33, though 33.00000000000001 in floating point
	return n >= max(1, int(math.Ceil(s.Percent*float64(base)/100-slack)))
}

// cancelled returns the end of a target stopped before its command was sent.
func cancelled(ctx context.Context) fleet.End {
	return stopped(ctx, fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted, Err: context.Cause(ctx)})
}

// braked reports whether the run stopped itself.
func (r *run) braked() bool {
	_, ok := errors.AsType[*stopError](context.Cause(r.dialCtx))
	return ok
}

// stopped changes the reason of a cancelled end if the run stopped itself, or was stopped
// for another reason than a signal.
func stopped(ctx context.Context, end fleet.End) fleet.End {
	if end.Outcome != fleet.OutcomeCancelled {
		return end
	}
	cause := context.Cause(ctx)
	if _, ok := errors.AsType[*stopError](cause); ok {
		end.Reason = fleet.ReasonBrake
	}
	if d, ok := errors.AsType[*drainError](cause); ok {
		end.Reason = d.reason
	}
	return end
}
