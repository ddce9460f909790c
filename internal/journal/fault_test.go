package journal

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"shoal/fleet"
)

// The database is limited to every size from just large enough for the run's begin:
// whatever was acknowledged is stored, and the rest is reported.
// faults.md: R11
func TestNoRoom(t *testing.T) {
	t.Parallel()
	full := 0
	for pages := 1; ; pages++ {
		dir := t.TempDir()
		j, err := Open(t.Context(), dir, Options{maxPages: pages})
		if err != nil {
			continue // no room for the schema
		}
		r, err := j.Begin(t.Context(), RunInfo{}, targetsOf(20))
		if err != nil {
			if !strings.Contains(err.Error(), "hint: make room") {
				t.Fatal(err)
			}
			check(t, j.Close())
			continue
		}
		intended := map[int]bool{}
		var failure error
		for i := range 20 {
			if err := r.Intend(i, 1, netip.AddrPort{}); err != nil {
				failure = err
				continue
			}
			if failure != nil {
				t.Fatal("an intent after a failure")
			}
			intended[i] = true
			_ = r.Result(okResult(targetOf(i), strings.Repeat(fmt.Sprint(i), 1000))) // End returns the error
		}
		err = r.End(Ending{})
		if err == nil && failure == nil {
			check(t, j.Close())
			if full == 0 {
				t.Error("there was always room")
			}
			return
		}
		full++
		if err == nil || !strings.Contains(err.Error(), "results are not in the journal") && failure != nil {
			t.Fatalf("%d pages: End says %v, an intent %v", pages, err, failure)
		}
		checkAfterFailure(t, dir, r.ID(), intended)
		check(t, j.Close())
	}
}

func checkAfterFailure(t *testing.T, dir, run string, intended map[int]bool) {
	t.Helper()
	j := mustOpen(t, dir, Options{})
	for i, e := range entries(t, j, run, All) {
		if intended[i] && e.Progress == NotStarted {
			t.Errorf("the intent of target %d is missing", i)
		}
		if !intended[i] && e.Progress != NotStarted {
			t.Errorf("target %d is %s", i, e.Progress)
		}
	}
	if info, err := j.Run(t.Context(), run); err != nil || info.State != Crashed {
		t.Error(info.State, err)
	}
	report, err := j.Verify(t.Context(), run)
	check(t, err)
	if !report.OK() {
		t.Errorf("%+v", report)
	}
}

// After a failure every call returns it. Results that were not written are counted.
// faults.md: R11
func TestFailureSurfaces(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := mustBegin(t, j, RunInfo{}, targetsOf(3))
	check(t, r.Intend(0, 1, netip.AddrPort{}))
	_, err := j.write.Exec(`CREATE TEMP TRIGGER broken BEFORE INSERT ON results BEGIN SELECT RAISE(ABORT, 'broken'); END`)
	check(t, err)
	check(t, r.Result(okResult(targetOf(0), "")))
	if err := r.Flush(); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("Flush: %v", err)
	}
	for name, err := range map[string]error{
		"Intend": r.Intend(1, 1, netip.AddrPort{}), "Result": r.Result(okResult(targetOf(0), "")), "Flush": r.Flush(),
	} {
		if err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.End(Ending{}); err == nil || !strings.Contains(err.Error(), "1 results are not in the journal") {
		t.Error(err)
	}
	if got := entries(t, j, r.ID(), Unknown); len(got) != 1 || got[0].Outcome != fleet.OutcomeUnknown {
		t.Errorf("%+v", got)
	}
}

// A read-only database is reported as such.
func TestReadOnly(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := mustBegin(t, j, RunInfo{}, targetsOf(1))
	_, err := j.write.Exec(`PRAGMA query_only(1)`)
	check(t, err)
	if err := r.Intend(0, 1, netip.AddrPort{}); err == nil || !strings.Contains(err.Error(), "hint: make the state directory writable") {
		t.Error(err)
	}
	if err := r.End(Ending{}); err == nil {
		t.Error("End returned no error")
	}
}

func TestEndedRunTakesNothing(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := mustBegin(t, j, RunInfo{}, targetsOf(1))
	check(t, r.End(Ending{}))
	for name, err := range map[string]error{
		"Intend": r.Intend(0, 1, netip.AddrPort{}), "Result": r.Result(okResult(targetOf(0), "")), "Flush": r.Flush(), "End": r.End(Ending{}),
	} {
		if !errors.Is(err, ErrEnded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInvalidCallsAreRefused(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	r := mustBegin(t, j, RunInfo{}, targetsOf(2))
	none := okResult(targetOf(0), "")
	none.Outcome = fleet.OutcomeNone
	for name, err := range map[string]error{
		"no such target":  r.Intend(2, 1, netip.AddrPort{}),
		"negative target": r.Intend(-1, 1, netip.AddrPort{}),
		"result":          r.Result(okResult(targetOf(2), "")),
		"outcome":         r.Result(none),
	} {
		if err == nil {
			t.Error(name)
		}
	}
	twice := []fleet.Target{targetOf(1), targetOf(1)}
	if _, err := j.Begin(t.Context(), RunInfo{}, slices.Values(twice)); err == nil {
		t.Error("an index was taken twice")
	}
	check(t, r.End(Ending{}))
	infos := 0
	for info, err := range j.Runs(t.Context(), Filter{Limit: 1}) {
		check(t, err)
		if infos++; info.State != Incomplete {
			t.Error(info.State)
		}
		if _, err := j.Resume(t.Context(), info.Run); !errors.Is(err, ErrIncomplete) {
			t.Error(err)
		}
	}
	if infos != 1 {
		t.Error(infos)
	}
}

// 256 workers at once, with a queue that is almost always full.
func TestManyWorkers(t *testing.T) {
	const targets, workers = 1024, 256
	j := mustOpen(t, t.TempDir(), Options{maxQueue: 2, maxQueueBytes: 100, noSync: true})
	r := mustBegin(t, j, RunInfo{}, targetsOf(targets))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < targets; i += workers {
				if err := errors.Join(r.Intend(i, 1, netip.AddrPort{}), r.Result(okResult(targetOf(i), strings.Repeat(fmt.Sprint(i), 50)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	check(t, r.End(Ending{}))
	sum, err := j.Summary(t.Context(), r.ID())
	check(t, err)
	if sum.Outcomes[fleet.OutcomeOK] != targets || sum.Targets() != targets {
		t.Errorf("%+v", sum)
	}
	if report, err := j.Verify(t.Context(), r.ID()); err != nil || !report.OK() || report.Contents != targets+1 {
		t.Errorf("%+v %v", report, err)
	}
}
