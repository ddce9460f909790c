package engine_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/tcp"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// BenchmarkOneServer runs 1,000 targets on one server, in turn with each fixed
// number of starts of a sweep and with the adaptive one: ratio is the wall time of
// the latter over the best of the sweep.
func BenchmarkOneServer(b *testing.B) {
	const n = 1000
	b.Run("sshd=10:30:100", func(b *testing.B) {
		s := sshdtest.OpenSSH(b)
		sweep(b, []int{2, 3, 4, 6, 8}, n, func(starts int) onOne {
			return onServer(b, s, engine.Options{Starts: starts}, n)
		})
		if log := s.Log(); strings.Contains(log, "penalty") {
			b.Errorf("the server was made to punish us:\n%.2000s", log)
		}
	})
	for _, latency := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond} {
		b.Run(fmt.Sprintf("simulated=150/latency=%v", latency), func(b *testing.B) {
			limit := simfleet.Startups{Start: 150, Rate: 100, Full: 150}
			f := startFleet(b, simfleet.Options{Hosts: 1, MaxStartups: limit, Latency: latency, DiscardLog: true})
			d := newDialer(b, fleetKeys(f), f.ClientKey(), ssh.Timeouts{})
			sweep(b, []int{10, 20, 50, 100, 149}, n, func(starts int) onOne {
				return collected(b, engine.Run(b.Context(), engine.Options{Dialer: d, Starts: starts}, engine.Direct(upon(f, 1, n))))
			})
		})
	}
}

// sweep runs with each number of starts, and with 0, which adapts it.
func sweep(b *testing.B, fixed []int, n int, run func(starts int) onOne) {
	took := make(map[int]time.Duration)
	again := 0
	for b.Loop() {
		for _, starts := range append([]int{0}, fixed...) {
			begin := time.Now()
			got := run(starts)
			took[starts] += time.Since(begin)
			if got.ok != n {
				b.Errorf("%d starts: %d of %d ok: %v", starts, got.ok, n, got.reasons)
			}
			if starts == 0 {
				again += got.again
			}
		}
	}
	best := took[fixed[0]]
	for _, starts := range fixed {
		best = min(best, took[starts])
		b.ReportMetric(took[starts].Seconds()/float64(b.N), fmt.Sprintf("s/starts=%d", starts))
	}
	b.ReportMetric(took[0].Seconds()/float64(b.N), "s/found")
	b.ReportMetric(took[0].Seconds()/best.Seconds(), "ratio")
	b.ReportMetric(float64(again)/float64(b.N), "repeated/op")
}

// holes is a network with hosts that never answer.
type holes struct {
	tcp.Dialer
	hole func(i int) bool
}

func (h holes) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	if !h.hole(a.Target.Index) {
		return h.Dialer.Open(ctx, a)
	}
	a.Timeline.Enter(fleet.PhaseDial)
	select {
	case <-time.After(h.Timeouts.Dial):
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialTimeout, context.DeadlineExceeded)
	case <-ctx.Done():
		return nil, a.Fail(fleet.OutcomeCancelled, fleet.ReasonInterrupted, context.Cause(ctx))
	}
}

// BenchmarkBadHosts measures when the last good host of 9,000 has its result, with
// and without 500 black holes and 500 slow-loris hosts among them.
func BenchmarkBadHosts(b *testing.B) {
	const n = 10_000 // with 5% of each
	for _, c := range []struct {
		name   string
		fanout int
		hole   func(i int) bool
		loris  func(i int) bool
	}{
		{"clean", 5000, nil, nil},
		{"bad", 5000, func(i int) bool { return i%20 == 7 }, func(i int) bool { return i%20 == 13 }},
		{"bad first", 5000, func(i int) bool { return i < 500 }, func(i int) bool { return i >= 500 && i < 1000 }},
		{"bad/fanout=1000", 1000, func(i int) bool { return i%20 == 7 }, func(i int) bool { return i%20 == 13 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.hole == nil {
				c.hole, c.loris = func(int) bool { return false }, func(int) bool { return false }
			}
			f := startFleet(b, simfleet.Options{Hosts: n, DiscardLog: true, Fault: func(i int) simfleet.Fault {
				if c.loris(i) {
					return simfleet.FaultSlowBanner
				}
				return simfleet.FaultNone
			}})
			timeouts := ssh.Timeouts{}.WithDefaults()
			d, err := client.New(client.Options{
				HostKeys: anyKey{}, Identities: signers{f.ClientKey()},
				Network: holes{tcp.Dialer{Timeouts: timeouts}, c.hole},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = d.Close() }()
			for b.Loop() {
				begin := time.Now()
				var last time.Duration
				good := 0
				for res, err := range engine.Run(b.Context(), engine.Options{Dialer: d, Fanout: c.fanout}, engine.Direct(upon(f, n, n))) {
					if err != nil {
						b.Fatal(err)
					}
					if res.Outcome == fleet.OutcomeOK {
						good++
						last = time.Since(begin)
					}
				}
				b.ReportMetric(last.Seconds(), "lastgood-s")
				b.ReportMetric(float64(good), "ok")
			}
		})
	}
}

// anyKey costs nothing: the servers' keys are not made twice.
type anyKey struct{}

func (anyKey) Algorithms(ssh.Target) []string                             { return nil }
func (anyKey) Check(ssh.Target, net.Addr, xssh.PublicKey) error           { return nil }
func (anyKey) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }
