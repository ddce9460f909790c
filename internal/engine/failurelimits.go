package engine

import (
	"context"
	"errors"
	"fmt"

	"shoal/fleet"
)

// errDrained is the cause of cancellations by Options.Drain.
var errDrained = errors.New("the run was stopped before the command was started here")

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

// add counts a result and returns an error if it exceeds a limit.
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
	for _, c := range []struct {
		what string
		n    int
		most *Amount
	}{
		{"have failed", failed, b.opts.MaxFail},
		{"were never started", b.count[fleet.OutcomeNeverStarted], b.opts.MaxFail},
		{"are unknown", b.count[fleet.OutcomeUnknown], b.opts.MaxUnknown},
	} {
		if c.most != nil && c.n > b.allowed(*c.most) {
			return fmt.Errorf("%d targets %s, more than %v", c.n, c.what, *c.most)
		}
	}
	return nil
}

// allowed returns the number of targets that s permits now. Unlike a stage of a
// rollout, less than one target is none.
func (b *failureLimits) allowed(s Amount) int {
	if s.Percent == 0 {
		return s.Count
	}
	base := b.goes
	if base == 0 {
		base = b.opts.Targets
	}
	if base == 0 {
		base = max(b.ended, fewest)
	}
	return int(s.Percent * float64(base) / 100)
}

// cancelled returns the end of a target stopped before its command was sent.
func cancelled(ctx context.Context) fleet.End {
	return stopped(ctx, fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted, Err: context.Cause(ctx)})
}

// stopped changes the reason of a cancelled end if the run stopped itself.
func stopped(ctx context.Context, end fleet.End) fleet.End {
	if _, ok := errors.AsType[*stopError](context.Cause(ctx)); ok && end.Outcome == fleet.OutcomeCancelled {
		end.Reason = fleet.ReasonBrake
	}
	return end
}
