package chaostest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/simfleet"
)

// command takes half a second, and says whose answer it is.
const command = "sleep 0.5; echo {index}"

func needProcesses(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("make unit runs it without the race detector")
	}
}

// Each fault alone, when a quarter of the commands has begun, with one server and with three.
// faults.md: R18
func TestEachFault(t *testing.T) {
	needProcesses(t)
	for _, servers := range []int{1, 3} {
		for i, f := range faults {
			if servers == 1 && f.cluster || servers == 3 && !f.cluster && !strings.Contains(f.name, "server") {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", servers, strings.ReplaceAll(f.name, " ", "-")), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 240, 40, servers, command) // three shards, one for each worker
				unknown := w.suffer([]planned{{60, f}}, rand.New(rand.NewPCG(uint64(servers), uint64(i))))
				t.Logf("%d of %d hosts are unknown", unknown, w.hosts)
				if w.suffered() != 1 {
					t.Error("the run ended before the fault")
				}
			})
		}
	}
}

// Runs with random faults at random times. See the package's comment.
// faults.md: R18
func TestChaos(t *testing.T) {
	needProcesses(t)
	seed, runs := knob(t, "CHAOS_SEED", rand.Uint64()), knob(t, "CHAOS_RUNS", 1)
	hosts, number := int(knob(t, "CHAOS_HOSTS", 300)), int(knob(t, "CHAOS_FAULTS", 3))
	var sum tally
	t.Cleanup(func() { t.Log(&sum) })
	for i := range runs {
		began := time.Now()
		ok := t.Run(fmt.Sprint("seed", seed+i), func(t *testing.T) {
			if runs == 1 {
				t.Parallel()
			}
			r := rand.New(rand.NewPCG(seed+i, 0))
			servers := 1 + 2*r.IntN(2)
			usable := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.cluster && servers == 1 })
			var plan []planned
			for range number {
				plan = append(plan, planned{1 + r.IntN(hosts*7/10), usable[r.IntN(len(usable))]})
			}
			slices.SortStableFunc(plan, func(a, b planned) int { return a.at - b.at })
			w := newWorld(t, hosts, max(10, hosts/20), servers, command)
			defer func() { sum.add(w, t.Failed()) }()
			unknown := w.suffer(plan, r)
			var names []string
			for _, p := range plan {
				names = append(names, fmt.Sprintf("%s at %d", p.fault.name, p.at))
			}
			t.Logf("chaos: seed %d, %d hosts, %d servers, %d faults of %d (%s): %d unknown%s; %d processes, %.1f s; ok: %t",
				seed+i, hosts, servers, w.suffered(), len(plan), strings.Join(names, ", "), unknown, w.explanations(), w.started, time.Since(began).Seconds(), !t.Failed())
		})
		if !ok {
			t.Errorf("CHAOS_SEED=%d", seed+i)
		}
	}
}

// A tally is the sum of several runs.
type tally struct {
	runs, failed, hosts, faults, unknown int
	kinds                                map[string]int
}

func (s *tally) add(w *world, failed bool) {
	s.runs++
	s.hosts += w.hosts
	if failed {
		s.failed++
	}
	if s.kinds == nil {
		s.kinds = make(map[string]int)
	}
	s.unknown += w.unbegun
	for _, e := range w.events {
		s.faults++
		s.kinds[e.fault]++
		s.unknown += e.running + e.ended
	}
}

func (s *tally) String() string {
	var kinds []string
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", name, s.kinds[name]))
	}
	return fmt.Sprintf("chaos: the sum: %d runs of which %d failed, %d hosts, %d faults (%s); %d hosts are unknown, and a fault explains each",
		s.runs, s.failed, s.hosts, s.faults, strings.Join(kinds, ", "), s.unknown)
}

// planned is a fault that happens when this many commands have begun.
type planned struct {
	at    int
	fault fault
}

// suffer runs the command on all hosts while the faults happen, each after the one before was mended,
// and returns the number of hosts that stay unknown.
func (w *world) suffer(plan []planned, r *rand.Rand) (unknown int) {
	w.t.Helper()
	var breaking sync.WaitGroup
	breaking.Go(func() {
		for _, p := range plan {
			if !w.await(p.at) {
				w.t.Logf("the run ended before %q at %d commands", p.fault.name, p.at)
				return
			}
			p.fault.do(w, r)
		}
	})
	defer breaking.Wait()
	defer w.finish()
	w.run()
	w.finish()
	breaking.Wait()
	w.collect()
	return w.check(w.read())
}

// What explains that a host is unknown.
func TestExplained(t *testing.T) {
	second := func(n float64) time.Time { return time.Unix(1e9, 0).Add(time.Duration(n * float64(time.Second))) }
	kill := &event{fault: "worker killed", from: second(100), to: second(101), unknown: true}
	for _, test := range []struct {
		name            string
		began, ended    float64
		others          []*event
		want            bool
		running, before int
	}{
		{name: "it ran then", began: 99, ended: 101, want: true, running: 1},
		{name: "it had just ended", began: 98, ended: 99.9, want: true, before: 1},
		{name: "it had ended long before", began: 80, ended: 90},
		{name: "it began long after", began: 120, ended: 121},
		{
			name: "the server was stopped in between", began: 80, ended: 90, want: true, before: 1,
			others: []*event{{fault: "server stopped", from: second(91), to: second(99)}},
		},
		{
			name: "two faults, one after the other", began: 70, ended: 80, want: true, before: 1,
			others: []*event{{fault: "server killed", from: second(93), to: second(99)}, {fault: "worker cut off", from: second(81), to: second(90)}},
		},
		{
			name: "the server was there again for long", began: 60, ended: 70,
			others: []*event{{fault: "server stopped", from: second(71), to: second(90)}},
		},
		{
			name: "workers could store", began: 80, ended: 90,
			others: []*event{{fault: "coordinator stopped", from: second(91), to: second(99)}, {fault: "hints lost", from: second(91), to: second(99)}},
		},
	} {
		killed := *kill
		w := &world{events: append(test.others, &killed)}
		got := w.explained(simfleet.Exec{Received: second(test.began), Ended: second(test.ended)}, true)
		if got != test.want || killed.running != test.running || killed.ended != test.before {
			t.Errorf("%s: %t, %d running, %d ended", test.name, got, killed.running, killed.ended)
		}
	}
	w := &world{events: []*event{{fault: "server stopped", from: second(1), to: second(2)}}}
	if w.explained(simfleet.Exec{}, false) {
		t.Error("no worker was killed, and an unknown host is explained")
	}
}
