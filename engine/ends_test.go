package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/connect"
	"shoal/engine"
	"shoal/fleet"
)

// Every target of a server that is given up has its result, whoever ends the run:
// nobody, a drain or an abort, before and after the server is given up.
func TestGivenUpServerEnds(t *testing.T) {
	for _, c := range []struct{ n, attempts int }{{2, 3}, {8, 1}, {20, 1}} {
		for _, stop := range []string{"", "drain", "abort"} {
			for _, after := range []time.Duration{time.Second, time.Minute, 3 * time.Minute, time.Hour} {
				t.Run(fmt.Sprintf("%d targets, %d attempts, %s after %v", c.n, c.attempts, stop, after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						ctx, abort := context.WithCancel(t.Context())
						defer abort()
						drain := make(chan struct{})
						switch stop {
						case "drain":
							time.AfterFunc(after, func() { close(drain) })
						case "abort":
							time.AfterFunc(after, abort)
						}
						dials := 0
						s := &stub{dial: func(_ context.Context, a *connect.Attempt) error {
							dials++
							time.Sleep(time.Millisecond)
							return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonThrottled, errNetwork)
						}}
						results := collect(t, ctx, engine.Options{Dialer: s, Attempts: c.attempts, Drain: drain, Dials: 1}, c.n, 1)
						counts := count(results)
						if counts[fleet.OutcomeNeverStarted]+counts[fleet.OutcomeCancelled] != c.n {
							t.Errorf("counts %v, want %d that have not run", counts, c.n)
						}
						if stop != "" && after < time.Hour {
							return
						}
						tried := 0
						for i, res := range results {
							tried += res.Attempt
							if res.Outcome != fleet.OutcomeNeverStarted || res.Reason != fleet.ReasonThrottled {
								t.Errorf("target %d: %v %s", i, res.Outcome, res.Reason)
							}
						}
						if most := c.n * c.attempts; tried != dials || dials > most || dials < 2 {
							t.Errorf("%d attempts in the results and %d made, want the same, at most %d", tried, dials, most)
						}
					})
				})
			}
		}
	}
}

// Whatever number of attempts is asked for, that many are made, and none is waited
// for longer than 30 s.
func TestManyAttempts(t *testing.T) {
	for _, attempts := range []int{35, 36, 38, 64, 65, engine.MaxAttempts} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{dial: func(_ context.Context, a *connect.Attempt) error {
				if a.Target.Index > 0 {
					return nil
				}
				return a.FailIn(fleet.PhaseKex, fleet.OutcomeNeverStarted, fleet.ReasonConnReset, errNetwork)
			}}
			results := collect(t, t.Context(), engine.Options{Dialer: s, Attempts: attempts}, 1000, 1000)
			if n := count(results)[fleet.OutcomeOK]; n != 999 {
				t.Errorf("%d ok, want 999", n)
			}
			first := results[0]
			if first.Attempt != attempts || first.Reason != fleet.ReasonConnReset {
				t.Errorf("%d attempts and %s, want %d and conn_reset", first.Attempt, first.Reason, attempts)
			}
			started := first.Started
			for _, e := range slices.Backward(first.Earlier) {
				if wait := started.Sub(e.Started); wait < 0 || wait > 30*time.Second {
					t.Errorf("an attempt came %v after the one before it", wait)
				}
				started = e.Started
			}
		})
	}
}

func TestOutOfRange(t *testing.T) {
	for name, opts := range map[string]engine.Options{
		"101 attempts are too many": {Attempts: 101},
		"a rate of +Inf":            {Rate: 1 / zero},
		"a rate of NaN":             {Rate: zero / zero},
	} {
		opts.Dialer = new(stub)
		if err := opts.Validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, " are too many")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var zero float64
