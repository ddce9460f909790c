package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/connect"
	"shoal/engine"
	"shoal/fleet"
)

// startups plays one server with a hard limit on unauthenticated connections and
// all the processors that it wants: each connection is let in after trips round
// trips, or turned away after the first.
func startups(limit int64, rtt time.Duration, trips int) *stub {
	var open atomic.Int64
	return &stub{
		dial: func(_ context.Context, a *connect.Attempt) error {
			defer open.Add(-1)
			if open.Add(1) > limit {
				time.Sleep(rtt)
				return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonThrottled, errors.New("not now"))
			}
			time.Sleep(time.Duration(trips) * rtt)
			return nil
		},
		run: func(context.Context, *connect.Attempt) fleet.End {
			time.Sleep(rtt)
			return fleet.End{Outcome: fleet.OutcomeOK}
		},
	}
}

// How near to the best fixed number of starts is the one that is found, where
// nothing but the policy takes time?
func TestStartsAreFound(t *testing.T) {
	const n = 1000
	for _, rtt := range []time.Duration{2 * time.Millisecond, 40 * time.Millisecond, 200 * time.Millisecond} {
		run := func(starts int) (took time.Duration, again int) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				opts := engine.Options{Dialer: startups(150, rtt, 6), Starts: starts, Fanout: n}
				got := collected(t, engine.Run(t.Context(), opts, func(yield func(fleet.Target) bool) {
					for i := range n {
						if !yield(fleet.Target{Host: fleet.Host{Name: "one"}, Index: i, User: "u", Port: 22}) {
							return
						}
					}
				}))
				if got.ok != n {
					t.Errorf("%d of %d ok: %v", got.ok, n, got.reasons)
				}
				again = got.again
				took = time.Since(begin)
			})
			return took, again
		}
		found, again := run(0)
		best, _ := run(150)
		t.Logf("rtt %v: %v, best %v, ratio %.2f, %d repeated", rtt, found, best, found.Seconds()/best.Seconds(), again)
	}
}
