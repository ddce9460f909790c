package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// Five hundred black holes and 500 slow-loris hosts among 9,000 good ones: the last
// good host ends within 1.5 times the duration of a run without them, and within 2.5 times if the
// fanout is only a little more than there are bad hosts. Good hosts
// take 200 ms to connect, as over a network of medium distance.
// faults.md: T02 T05
func TestBadHostsDoNotHoldGoodOnes(t *testing.T) {
	const n = 10_000
	none := func(int) bool { return false }
	last := func(fanout int, hole, loris func(int) bool) (at time.Duration, good int) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			s := &stub{dial: func(_ context.Context, a *ssh.Attempt) error {
				switch {
				case hole(a.Target.Index):
					time.Sleep(10 * time.Second)
					return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialTimeout, errNetwork)
				case loris(a.Target.Index):
					a.Timeline.Enter(fleet.PhaseBanner)
					time.Sleep(15 * time.Second)
					return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBannerTimeout, errNetwork)
				}
				time.Sleep(200 * time.Millisecond)
				return nil
			}}
			for res, err := range engine.Run(t.Context(), engine.Options{Dialer: s, Fanout: fanout}, engine.Direct(targets(n, n))) {
				if err != nil {
					t.Fatal(err)
				}
				if res.Outcome == fleet.OutcomeOK {
					at = time.Since(begin)
					good++
				}
			}
		})
		return at, good
	}
	for _, c := range []struct {
		name        string
		fanout      int
		hole, loris func(int) bool
		limit       float64
	}{
		{"spread", 5000, func(i int) bool { return i%20 == 7 }, func(i int) bool { return i%20 == 13 }, 1.5},
		{"first", 5000, func(i int) bool { return i < 500 }, func(i int) bool { return i >= 500 && i < 1000 }, 1.75},
		{"in one place", 5000, func(i int) bool { return i/500 == 9 }, func(i int) bool { return i/500 == 10 }, 1.5},
		// Bad hosts hold slots of the fanout, which only their deadlines give back.
		{"spread, narrow", 1200, func(i int) bool { return i%20 == 7 }, func(i int) bool { return i%20 == 13 }, 2.5},
	} {
		clean, _ := last(c.fanout, none, none)
		got, good := last(c.fanout, c.hole, c.loris)
		ratio := float64(got) / float64(clean) * n / 9000 // the clean run has 1,000 good ones more
		t.Logf("%s: the last good host after %v, %v without the bad ones: %.2f times", c.name, got, clean*9/10, ratio)
		if good != 9000 || ratio > c.limit {
			t.Errorf("%s: %d good hosts, the last after %.2f times the clean run", c.name, good, ratio)
		}
	}
}
