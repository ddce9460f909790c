package engine_test

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// What waits to be stored is bounded: no further connections are made while the journal is behind
// with intents, or the caller with results.
func TestNothingStartsWhileStoringIsBehind(t *testing.T) {
	const n, dials = 5 * engine.MaxStoring, 64
	for _, c := range []struct {
		name    string
		intents bool
	}{{"intents", true}, {"results", false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var waiting atomic.Int64
				goOn := make(chan struct{}) // closed when it has been looked how many wait
				s := &stub{
					dial: func(_ context.Context, a *ssh.Attempt) error {
						if c.intents && a.Target.Index%2 == 0 {
							return nil
						}
						if !c.intents {
							waiting.Add(1)
						}
						return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, errNetwork) // a result at once
					},
					start: func(a *ssh.Attempt) { _ = a.Intend() }, // it does not fail
				}
				opts := engine.Options{Dialer: s, Fanout: n, Dials: dials, Intend: func(fleet.Target, int, netip.AddrPort) error {
					waiting.Add(1)
					<-goOn
					return nil
				}}
				go func() {
					synctest.Wait()
					// Those on their way from the connection to its intent or result are not counted yet.
					if got := waiting.Load(); got > 2*engine.MaxStoring {
						t.Errorf("%d wait, want about %d", got, engine.MaxStoring)
					}
					close(goOn)
				}()
				results := 0
				for res, err := range engine.Run(t.Context(), opts, engine.Direct(targets(n, n))) {
					if !c.intents {
						<-goOn // as a caller whose journal is full
					}
					if ran := res.Outcome == fleet.OutcomeOK; err != nil || ran != (c.intents && res.Target.Index%2 == 0) {
						t.Fatalf("ended %v: %v, %v", res.Outcome, res.Err, err)
					}
					results++
				}
				if results != n {
					t.Errorf("%d results, want %d", results, n)
				}
			})
		})
	}
}
