package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/spool"
	"shoal/internal/ssh"
)

// One attempt that is cancelled ends as at an abort, whatever it does, and is not tried again;
// the others are not affected.
func TestCancelOne(t *testing.T) {
	const n, victim = 8, 3
	wait := func(ctx context.Context, a *ssh.Attempt, p fleet.Phase, then fleet.End) fleet.End {
		a.Timeline.Enter(p)
		select {
		case <-ctx.Done():
			return a.Fail(a.Execution.Interrupted(), fleet.ReasonInterrupted, context.Cause(ctx)).End()
		case <-time.After(10 * time.Second):
			return then
		}
	}
	sent := func(a *ssh.Attempt) {
		if err := a.Intend(); err != nil {
			t.Error(err)
		}
		a.Execution.Queue(1)
		if a.Execution.Writing() {
			a.Execution.Wrote(1)
		}
	}
	for name, c := range map[string]struct {
		stub    *stub
		opts    engine.Options
		outcome fleet.Outcome
	}{
		"it connects": {
			stub: &stub{dial: func(ctx context.Context, a *ssh.Attempt) error {
				if end := wait(ctx, a, fleet.PhaseKex, fleet.End{}); end.Err != nil {
					return a.Fail(end.Outcome, end.Reason, end.Err)
				}
				return nil
			}},
			outcome: fleet.OutcomeCancelled,
		},
		"it runs": {
			stub: &stub{run: func(ctx context.Context, a *ssh.Attempt) fleet.End {
				sent(a)
				return wait(ctx, a, fleet.PhaseRun, fleet.End{Outcome: fleet.OutcomeOK})
			}},
			outcome: fleet.OutcomeUnknown,
		},
		"it may run twice": {
			stub: &stub{run: func(ctx context.Context, a *ssh.Attempt) fleet.End {
				sent(a)
				return wait(ctx, a, fleet.PhaseRun, fleet.End{Outcome: fleet.OutcomeOK})
			}},
			opts:    engine.Options{Idempotent: true},
			outcome: fleet.OutcomeUnknown,
		},
		"it is held by a barrier": {
			stub: &stub{
				dial: func(_ context.Context, a *ssh.Attempt) error {
					time.Sleep(time.Duration(a.Target.Index) * time.Second)
					return nil
				},
				run: func(ctx context.Context, a *ssh.Attempt) fleet.End {
					return wait(ctx, a, fleet.PhaseSession, fleet.End{Outcome: fleet.OutcomeOK})
				},
			},
			opts:    engine.Options{Barrier: true, Targets: n},
			outcome: fleet.OutcomeCancelled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := c.opts
				opts.Dialer, opts.Cancellable = c.stub, true
				opts.Watch = func(v *engine.View, s engine.Step) {
					if v.Of().Index == victim && s == engine.Connecting {
						time.AfterFunc(5*time.Second, v.Cancel)
					}
				}
				kept := ""
				for res, err := range engine.RunAndCount(t.Context(), opts, engine.Direct(targets(n, n)), &kept) {
					switch {
					case err != nil:
						t.Fatal(err)
					case res.Target.Index != victim && res.Outcome != fleet.OutcomeOK:
						t.Errorf("target %d: %v (%s)", res.Target.Index, res.Outcome, res.Reason)
					case res.Target.Index == victim && (res.Outcome != c.outcome || res.Reason != fleet.ReasonInterrupted || res.Attempt != 1):
						t.Errorf("the cancelled one: %v (%s), attempt %d; want %v", res.Outcome, res.Reason, res.Attempt, c.outcome)
					}
				}
				if kept != "" {
					t.Errorf("not released: %s", kept)
				}
			})
		})
	}
}

// An attempt that would be tried again is not once it was cancelled.
func TestCancelledIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var view *engine.View
		s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
			view.Cancel()
			return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonConnReset, errors.New("reset"))
		}}
		opts := engine.Options{Dialer: s, Cancellable: true, Watch: func(v *engine.View, _ engine.Step) { view = v }}
		for i, res := range collect(t, t.Context(), opts, 1, 1) {
			if res.Attempt != 1 || res.Outcome != fleet.OutcomeNeverStarted {
				t.Errorf("target %d: %v, attempt %d", i, res.Outcome, res.Attempt)
			}
		}
	})
}

// Tail gives the end of what came so far, also of a spool, and nothing after the end.
func TestTailOfView(t *testing.T) {
	for _, memory := range []int64{1 << 20, 4} {
		var view *engine.View
		out := spool.NewOutputs(1 << 20)
		s := &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
			_, _ = a.Stdout.Write([]byte("0123456"))
			_, _ = a.Stdout.Write([]byte("789"))
			if end, kept := view.Tail(fleet.Stdout, 4); string(end) != "6789" || kept != 10 {
				t.Errorf("%d bytes in memory: %q of %d", memory, end, kept)
			}
			if end, kept := view.Tail(fleet.Stderr, 4); end != nil || kept != 0 {
				t.Errorf("standard error: %q of %d", end, kept)
			}
			return fleet.End{Outcome: fleet.OutcomeOK}
		}}
		opts := engine.Options{Dialer: s, Watch: func(v *engine.View, _ engine.Step) { view = v }, Spool: spools{out}, MaxMemory: memory}
		collect(t, t.Context(), opts, 1, 1)
		if end, kept := view.Tail(fleet.Stdout, 4); end != nil || kept != 0 {
			t.Errorf("after the end: %q of %d", end, kept)
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	}
}
