package journal

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"shoal/fleet"
)

func beginWatch(t *testing.T, j *Journal, targets int) *Run {
	t.Helper()
	info := RunInfo{}
	info.Command = "uptime"
	info.SetWatch("5s")
	return mustBegin(t, j, info, targetsOf(targets))
}

// Ticks are rows of their own, results are those that were written, and the run is intact.
func TestTicks(t *testing.T) {
	now := day0
	j := mustOpen(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	r := beginWatch(t, j, 3)
	tick := func(n int, results ...fleet.Result) {
		t.Helper()
		now = now.Add(5 * time.Second)
		at := Tick{N: n, Started: now, Late: time.Millisecond, Missed: n - 1}
		check(t, r.BeginTick(at))
		for _, res := range results {
			at.Outcomes[res.Outcome]++
			check(t, r.TickResult(n, res))
		}
		at.Ended = now.Add(time.Second)
		check(t, r.EndTick(at))
	}
	silent := fleet.Result{Target: targetOf(1), End: fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnRefused, Phase: fleet.PhaseDial}}
	tick(1, okResult(targetOf(0), "a"), okResult(targetOf(1), "b"), okResult(targetOf(2), "c"))
	tick(2)
	tick(3, okResult(targetOf(0), "A"), silent)
	check(t, r.End(Ending{}))

	ticks, err := j.Ticks(t.Context(), r.ID())
	check(t, err)
	if ticks.Count != 3 || ticks.Missed != 3 || !ticks.Last.Ended.Equal(now.Add(time.Second)) || ticks.Last.Late != time.Millisecond || ticks.Last.Outcomes[fleet.OutcomeNeverStarted] != 1 {
		t.Errorf("%+v", ticks)
	}
	var got string
	for _, e := range entries(t, j, r.ID(), All) {
		got += fmt.Sprintf("%s %s, ", e.Outcome, e.Stdout.Bytes)
	}
	for e, err := range j.Answers(t.Context(), r.ID()) {
		check(t, err)
		got += fmt.Sprintf("%s, ", e.Stdout.Bytes)
	}
	changes, err := j.AnswerChanges(t.Context(), r.ID(), 10)
	check(t, err)
	for _, c := range changes {
		got += fmt.Sprintf("%d %s %s %s, ", c.Tick, c.Target.Host.Name, c.Outcome, c.At.Sub(day0))
	}
	before, err := j.ResultsOf(t.Context(), r.ID(), 0, 5)
	check(t, err)
	for _, c := range before {
		got += fmt.Sprintf("%d %s %s, ", c.Tick, c.At.Sub(day0), c.Stdout.Bytes)
	}
	if want := "ok A, never_started , ok c, A, b, c, 3 " + targetOf(0).Host.Name + " ok 15s, 3 " + targetOf(1).Host.Name + " never_started 15s, 3 15s A, 1 5s a, "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	report, err := j.Verify(t.Context(), r.ID())
	if check(t, err); !report.OK() || report.Results != 5 || report.Intents != 0 {
		t.Errorf("%+v", report)
	}
	second := beginWatch(t, j, 1)
	if id, err := j.LastWatch(t.Context(), "uptime", second.ID()); err != nil || id != r.ID() {
		t.Errorf("%s, %v", id, err)
	}
	if _, err := j.LastWatch(t.Context(), "other", ""); !errors.Is(err, ErrNoRun) {
		t.Error(err)
	}
}

// What a tick that was broken off did is unknown where there is no result, and is never resumed.
func TestTickBrokenOff(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	r := beginWatch(t, j, 2)
	check(t, r.BeginTick(Tick{N: 1, Started: day0}))
	check(t, r.TickResult(1, okResult(targetOf(0), "a")))
	check(t, r.Flush())
	check(t, j.Close())

	j = mustOpen(t, dir, Options{})
	ticks, err := j.Ticks(t.Context(), r.ID())
	check(t, err)
	all := entries(t, j, r.ID(), All)
	if ticks.Count != 1 || !ticks.Last.Ended.IsZero() || all[0].Outcome != fleet.OutcomeOK || all[1].Outcome != fleet.OutcomeUnknown || all[1].Progress != Intended {
		t.Errorf("%+v\n%+v", ticks, all)
	}
	if _, err := j.Resume(t.Context(), r.ID()); !errors.Is(err, ErrWatch) {
		t.Error(err)
	}
	if p, err := j.Prune(t.Context(), Retention{MaxAge: time.Nanosecond, Most: true}); err != nil || len(p.Runs) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := j.Ticks(t.Context(), r.ID()); !errors.Is(err, ErrNoRun) {
		t.Error(err)
	}
}

// A watch that goes on keeps the last ticks and results and the last answers, and no bytes that
// only removed results had; it may write them again.
func TestTrim(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{noSync: true})
	r := beginWatch(t, j, 2)
	silent := func(reason fleet.Reason) fleet.Result {
		return fleet.Result{Target: targetOf(1), End: fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: reason, Phase: fleet.PhaseDial}}
	}
	for n := 1; n <= 50; n++ {
		check(t, r.BeginTick(Tick{N: n, Started: day0}))
		check(t, r.TickResult(n, okResult(targetOf(0), fmt.Sprint("output ", n))))
		if n == 1 {
			check(t, r.TickResult(n, okResult(targetOf(1), "the last answer")))
		} else {
			check(t, r.TickResult(n, silent([]fleet.Reason{fleet.ReasonConnRefused, fleet.ReasonDialTimeout}[n%2])))
		}
		check(t, r.EndTick(Tick{N: n, Ended: day0}))
		if n%10 == 0 {
			check(t, r.Trim(t.Context(), 7, 3))
		}
	}
	check(t, r.TickResult(50, okResult(targetOf(0), "output 1")))
	check(t, r.End(Ending{}))
	var ticks, results, contents int
	check(t, j.read.QueryRow(`SELECT (SELECT count(*) FROM ticks), (SELECT count(*) FROM results), (SELECT count(*) FROM contents)`).Scan(&ticks, &results, &contents))
	if ticks != 7 || results != 3+1+3+1 || contents != 3+1+1+1 { // the last ones; the answer; one again; the command
		t.Errorf("%d ticks, %d results, %d contents", ticks, results, contents)
	}
	var got []string
	for e, err := range j.Answers(t.Context(), r.ID()) {
		check(t, err)
		got = append(got, string(e.Stdout.Bytes))
	}
	if fmt.Sprint(got) != "[output 1 the last answer]" {
		t.Error(got)
	}
	if report, err := j.Verify(t.Context(), r.ID()); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}
