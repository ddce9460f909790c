package runstate_test

import (
	"math"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/runstate"
)

// An attempt is one that is under way in a phase.
type attempt struct {
	index, number int
	phase         fleet.Phase
	begun         time.Time
	cancelled     int
}

func (a *attempt) Of() fleet.Target      { return fleet.Target{Index: a.index} }
func (a *attempt) Number() int           { return a.number }
func (a *attempt) Started() time.Time    { return a.begun }
func (a *attempt) Phase() fleet.Phase    { return a.phase }
func (a *attempt) LastOutput() time.Time { return time.Time{} }
func (a *attempt) Cancel()               { a.cancelled++ }

func (a *attempt) Tail(s fleet.Stream, limit int) ([]byte, int64) {
	text := []string{"out", "err"}[s]
	return []byte(text[:min(limit, len(text))]), int64(len(text))
}

func result(index int, o fleet.Outcome, took time.Duration) fleet.Result {
	r := fleet.Result{Target: fleet.Target{Index: index}, End: fleet.End{Outcome: o}}
	r.Took[fleet.PhaseRun] = took
	return r
}

// Every target is counted once at each moment: with its result, in flight, or waiting.
func TestEachTargetIsCountedOnce(t *testing.T) {
	s := runstate.New(4)
	check := func(what string, done, waiting int, active ...runstate.Activity) {
		t.Helper()
		n := s.Now(time.Now())
		want := [runstate.NumActivities]int{}
		for _, a := range active {
			want[a]++
		}
		if n.Done != done || n.Waiting != waiting || n.Active != want {
			t.Errorf("%s: %d done, %d waiting, active %v; want %d, %d, %v", what, n.Done, n.Waiting, n.Active, done, waiting, want)
		}
		if all := s.InFlight(time.Now()); len(all) != len(active) {
			t.Errorf("%s: %d in flight", what, len(all))
		}
	}
	check("before", 0, 4)
	first, second := &attempt{index: 0, number: 1, phase: fleet.PhaseResolve}, &attempt{index: 1, number: 1, phase: fleet.PhaseKex}
	s.Connecting(first)
	s.Connecting(second)
	check("begun", 0, 2, runstate.Resolving, runstate.Connecting)
	first.phase = fleet.PhaseAuth
	s.Running(first)
	check("about to run", 0, 2, runstate.Running, runstate.Connecting)
	s.Barrier()
	check("held by a barrier", 0, 2, runstate.Ready, runstate.Connecting)
	first.phase = fleet.PhaseRun
	s.Ended(second)
	check("ended", 0, 2, runstate.Running, runstate.Storing)
	s.Waiting(second.Of())
	check("waits for another attempt", 0, 3, runstate.Running)
	again := &attempt{index: 1, number: 2, phase: fleet.PhaseDial}
	s.Connecting(again)
	s.Ended(second) // told late
	s.Waiting(second.Of())
	check("tried again", 0, 2, runstate.Running, runstate.Connecting)
	first.phase = fleet.PhaseDrain
	check("drains", 0, 2, runstate.Draining, runstate.Connecting)
	s.Ended(first)
	s.Result(result(0, fleet.OutcomeOK, time.Second))
	s.Result(result(2, fleet.OutcomeCancelled, 0)) // it never had an attempt
	check("two are done", 2, 1, runstate.Connecting)
	if n := s.Now(time.Now()); !n.Stopping {
		t.Error("a cancelled target means that the run stops")
	}
}

// The time left is not shown before it can be known, nor when nothing more is started.
func TestTimeLeft(t *testing.T) {
	steady := runstate.Snapshot{Total: 2000, Done: 1000, Elapsed: 10 * time.Second}
	steady.Outcomes[fleet.OutcomeOK] = 1000
	steady.Active[runstate.Running] = 80
	for _, c := range []struct {
		what   string
		change func(*runstate.Snapshot)
		known  bool
	}{
		{"steady", func(*runstate.Snapshot) {}, true},
		{"no result", func(n *runstate.Snapshot) { n.Done, n.Outcomes = 0, [fleet.NumOutcomes]int{} }, false},
		{"no total", func(n *runstate.Snapshot) { n.Total = 0 }, false},
		{"most are in flight", func(n *runstate.Snapshot) { n.Active[runstate.Connecting] = 921 }, false},
		{"nothing ran", func(n *runstate.Snapshot) {
			n.Outcomes = [fleet.NumOutcomes]int{fleet.OutcomeNeverStarted: 1000}
		}, false},
		{"Ctrl-C", func(n *runstate.Snapshot) { n.Stopping = true }, false},
		{"a pause", func(n *runstate.Snapshot) { n.Pause = time.Second }, false},
		{"silence", func(n *runstate.Snapshot) { n.Quiet = 11 * time.Second }, false},
		{"the end", func(n *runstate.Snapshot) { n.Done = 1999 }, false},
	} {
		n := steady
		c.change(&n)
		if left, known := n.Left(); known != c.known || known && left != 10*time.Second {
			t.Errorf("%s: %v, %v", c.what, left, known)
		}
	}
}

// Slow is what takes three times the median, once there is one.
func TestSlow(t *testing.T) {
	s, begun := runstate.New(10), time.Now()
	s.Connecting(&attempt{index: 9, phase: fleet.PhaseRun, begun: begun})
	for i := range 4 {
		s.Result(result(i, fleet.OutcomeOK, time.Duration(i+1)*time.Second))
	}
	s.Result(result(8, fleet.OutcomeNeverStarted, time.Hour))
	if n := s.Now(begun.Add(time.Hour)); n.Median != 0 || n.Slow != 0 {
		t.Errorf("after 4: %+v", n)
	}
	s.Result(result(4, fleet.OutcomeFailed, 5*time.Second))
	n := s.Now(begun.Add(time.Second))
	if off := math.Abs(n.Median.Seconds()/3 - 1); off > 0.05 {
		t.Errorf("the median of 1 to 5 s: %v", n.Median)
	}
	if n.Slow != 0 || n.SlowAfter != 3*n.Median {
		t.Errorf("%d slow, after %v", n.Slow, n.SlowAfter)
	}
	late := begun.Add(n.SlowAfter + 1)
	if n := s.Now(late); n.Slow != 1 || !s.InFlight(late)[0].Slow {
		t.Errorf("%+v", n)
	}
}

// A time of any length has a bucket.
func TestMedianOfExtremes(t *testing.T) {
	for _, took := range []time.Duration{0, time.Microsecond, 400 * 24 * time.Hour} {
		s := runstate.New(5)
		for i := range 5 {
			s.Result(result(i, fleet.OutcomeOK, took))
		}
		if n := s.Now(time.Now()); n.Median < time.Millisecond || n.Median > 20*24*time.Hour {
			t.Errorf("%v: %v", took, n.Median)
		}
	}
}

// Only what is under way can be cancelled and has output, and one cancelled target does not
// mean that the run stops.
func TestCancelAndTail(t *testing.T) {
	s, a := runstate.New(2), &attempt{index: 1, phase: fleet.PhaseRun}
	if s.Cancel(1) {
		t.Error("cancelled before it began")
	}
	s.Connecting(a)
	if ends, kept, ok := s.Tail(1, 2); !ok || string(ends[fleet.Stderr]) != "er" || kept[fleet.Stdout] != 3 {
		t.Errorf("%q, %v, %v", ends, kept, ok)
	}
	if !s.Cancel(1) || a.cancelled != 1 {
		t.Errorf("cancelled %d times", a.cancelled)
	}
	s.Ended(a)
	if _, _, ok := s.Tail(1, 2); ok || s.Cancel(1) {
		t.Error("it has ended")
	}
	s.Result(result(1, fleet.OutcomeCancelled, 0))
	if s.Now(time.Now()).Stopping {
		t.Error("the run stops")
	}
	s.Result(result(0, fleet.OutcomeCancelled, 0))
	if !s.Now(time.Now()).Stopping {
		t.Error("the run does not stop")
	}
}
