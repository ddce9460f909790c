package engine_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// A drain or a failure limit during dials cancels targets without a recorded
// intent. The others run to their end and are never cancelled; an abort interrupts
// them.
func TestStopWhileDialling(t *testing.T) {
	const (
		intends = iota // and goes on when the stop has come
		waits          // for its context
		resets         // having intended
		denies         // that anything was sent, having intended
		fails          // at once, which is the brake
		late           // dials until after the stop, and has written no intent by then
		targetsInAll
	)
	type how struct {
		outcome fleet.Outcome
		reason  fleet.Reason
	}
	for name, c := range map[string]struct {
		brake, abort bool
		want         map[int]how
	}{
		"drain": {want: map[int]how{
			intends: {fleet.OutcomeOK, ""}, waits: {fleet.OutcomeCancelled, fleet.ReasonInterrupted},
			resets: {fleet.OutcomeUnknown, fleet.ReasonConnReset}, denies: {fleet.OutcomeNeverStarted, fleet.ReasonInterrupted},
			fails: {fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed}, late: {fleet.OutcomeCancelled, fleet.ReasonInterrupted},
		}},
		"brake": {brake: true, want: map[int]how{
			intends: {fleet.OutcomeOK, ""}, waits: {fleet.OutcomeCancelled, fleet.ReasonBrake},
			resets: {fleet.OutcomeUnknown, fleet.ReasonConnReset}, denies: {fleet.OutcomeNeverStarted, fleet.ReasonInterrupted},
			fails: {fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed}, late: {fleet.OutcomeCancelled, fleet.ReasonBrake},
		}},
		"abort": {abort: true, want: map[int]how{
			intends: {fleet.OutcomeUnknown, fleet.ReasonInterrupted}, waits: {fleet.OutcomeCancelled, fleet.ReasonInterrupted},
			resets: {fleet.OutcomeUnknown, fleet.ReasonConnReset}, denies: {fleet.OutcomeNeverStarted, fleet.ReasonInterrupted},
			fails: {fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed}, late: {fleet.OutcomeCancelled, fleet.ReasonInterrupted},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, abort := context.WithCancel(t.Context())
				drain := make(chan struct{})
				const before, after = time.Second, 2 * time.Second // of the stop
				switch {
				case c.abort:
					time.AfterFunc(before, abort)
				case !c.brake:
					time.AfterFunc(before, func() { close(drain) })
				}
				defer abort()
				intend := func(a *ssh.Attempt) {
					if f := a.Intend(); f != nil {
						t.Errorf("target %d: %v", a.Target.Index, f)
					}
				}
				s := &stub{
					dial: func(ctx context.Context, a *ssh.Attempt) error {
						switch a.Target.Index {
						case intends:
							intend(a)
							time.Sleep(after)
							if err := ctx.Err(); (err != nil) != c.abort {
								t.Errorf("the dial of a command that has left ended: %v", err)
							}
						case waits:
							<-ctx.Done()
							return a.Fail(a.Execution.Interrupted(), fleet.ReasonInterrupted, context.Cause(ctx))
						case resets:
							intend(a)
							time.Sleep(after)
							return a.Fail(fleet.OutcomeUnknown, fleet.ReasonConnReset, errors.New("reset"))
						case denies:
							intend(a)
							time.Sleep(after)
							return a.Fail(fleet.OutcomeCancelled, fleet.ReasonInterrupted, errors.New("stopped"))
						case fails:
							time.Sleep(before)
							return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, errors.New("no"))
						case late:
							time.Sleep(after)
						}
						return nil
					},
					run: func(ctx context.Context, a *ssh.Attempt) fleet.End {
						if a.Target.Index == late {
							t.Error("a command was started after the stop")
						}
						if ctx.Err() != nil {
							return a.Fail(fleet.OutcomeUnknown, fleet.ReasonInterrupted, ctx.Err()).End()
						}
						return fleet.End{Outcome: fleet.OutcomeOK}
					},
				}
				var mu sync.Mutex
				intents := make(map[int]int)
				opts := engine.Options{Dialer: s, FailFast: c.brake, Drain: drain, Intend: func(t fleet.Target, _ int, _ netip.AddrPort) error {
					mu.Lock()
					defer mu.Unlock()
					intents[t.Index]++
					return nil
				}}
				for res, err := range engine.Run(ctx, opts, engine.Direct(targets(targetsInAll, targetsInAll))) {
					if err != nil {
						t.Fatal(err)
					}
					i := res.Target.Index
					if got := (how{res.Outcome, res.Reason}); got != c.want[i] {
						t.Errorf("target %d ended %v(%s), want %v(%s): %v", i, got.outcome, got.reason, c.want[i].outcome, c.want[i].reason, res.Err)
					}
					mu.Lock()
					if res.Outcome == fleet.OutcomeCancelled && intents[i] > 0 {
						t.Errorf("target %d is cancelled, with %d intents", i, intents[i])
					}
					mu.Unlock()
				}
			})
		})
	}
}
