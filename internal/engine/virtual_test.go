package engine_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// A model is one server in virtual time. It drops connections as sshd does by
// MaxStartups, after a round trip; others are authenticated after some more and the
// work of one of its processors.
type model struct {
	limit      simfleet.Startups
	rtt        time.Duration
	trips      int
	work       time.Duration
	processors int
}

func (m model) stub() *stub {
	var open atomic.Int64
	processors := make(chan struct{}, m.processors)
	return &stub{
		dial: func(_ context.Context, a *ssh.Attempt) error {
			time.Sleep(m.rtt / 2)
			n := int(open.Add(1)) - 1
			if m.full(n) {
				open.Add(-1)
				time.Sleep(m.rtt / 2)
				return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonThrottled, errors.New("not now"))
			}
			time.Sleep(m.rtt / 2)
			a.Timeline.Enter(fleet.PhaseKex)
			time.Sleep(time.Duration(m.trips-1)*m.rtt - m.rtt/2)
			processors <- struct{}{}
			time.Sleep(m.work)
			<-processors
			open.Add(-1)
			time.Sleep(m.rtt / 2)
			return nil
		},
		run: func(context.Context, *ssh.Attempt) fleet.End {
			time.Sleep(m.rtt)
			return fleet.End{Outcome: fleet.OutcomeOK}
		},
	}
}

// full is sshd's random early drop (sshd_config(5), MaxStartups).
func (m model) full(open int) bool {
	l := m.limit
	switch {
	case open < l.Start:
		return false
	case open >= l.Full:
		return true
	}
	return rand.IntN(100) < l.Rate+(100-l.Rate)*(open-l.Start)/(l.Full-l.Start)
}

// run runs on one such server, and returns how long it took.
func (m model) run(t *testing.T, starts, n int) (took time.Duration, again int) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		opts := engine.Options{Dialer: m.stub(), Starts: starts, Fanout: n}
		got := collected(t, engine.Run(t.Context(), opts, engine.Direct(func(yield func(fleet.Target) bool) {
			for i := range n {
				if !yield(fleet.Target{Host: fleet.Host{Name: "one"}, Index: i, User: "u", Port: 22}) {
					return
				}
			}
		})))
		if got.ok != n {
			t.Errorf("%d of %d ok: %v", got.ok, n, got.reasons)
		}
		took, again = time.Since(begin), got.again
	})
	return took, again
}

// The adaptive number of starts is close to the best fixed one if only the server
// takes time. For a distant server that can take 150 at the same time, adapting
// takes a good part of 1,000 targets.
func TestStartsAreFound(t *testing.T) {
	const n, rounds = 1000, 3
	standard := simfleet.Startups{Start: 10, Rate: 30, Full: 100}
	hard := simfleet.Startups{Start: 150, Rate: 100, Full: 150}
	for name, c := range map[string]struct {
		model
		ratio float64
	}{
		"standard, near": {model{standard, time.Millisecond, 4, 20 * time.Millisecond, 2}, 1.1},
		"standard, far":  {model{standard, 100 * time.Millisecond, 4, 20 * time.Millisecond, 4}, 1.25},
		"150, near":      {model{hard, time.Millisecond, 4, 2 * time.Millisecond, 4}, 1.1},
		"150, far":       {model{hard, 100 * time.Millisecond, 4, 2 * time.Millisecond, 4}, 1.6},
	} {
		best := time.Duration(math.MaxInt64)
		for _, starts := range []int{2, 4, 6, 8, 10, 20, 50, 100, 149} {
			if starts <= c.limit.Start {
				took, _ := c.run(t, starts, n)
				best = min(best, took)
			}
		}
		var sum time.Duration
		again := 0
		for range rounds {
			took, more := c.run(t, 0, n)
			sum, again = sum+took, again+more
		}
		ratio := sum.Seconds() / rounds / best.Seconds()
		t.Logf("%s: %.2f times the best, %v; %d attempts repeated", name, ratio, best, again/rounds)
		if ratio > c.ratio || again/rounds > n/4 {
			t.Errorf("%s: %.2f times the best with %d attempts repeated, want at most %.2f times and %d", name, ratio, again/rounds, c.ratio, n/4)
		}
	}
}
