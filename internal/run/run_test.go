package run

import (
	"errors"
	"slices"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/remote"
	"shoal/internal/remote/wrap"
)

// A target that may have run in an earlier session stays unknown when the session
// that was to run it again does not: nothing may start it without consent.
func TestStillUnknown(t *testing.T) {
	const ok, never, cancelled, unknown = fleet.OutcomeOK, fleet.OutcomeNeverStarted, fleet.OutcomeCancelled, fleet.OutcomeUnknown
	came := []fleet.Outcome{ok, never, cancelled, never, cancelled}
	want := []fleet.Outcome{ok, unknown, unknown, never, cancelled}
	failed := errors.New("the run failed")
	i := 0
	for res, err := range stillUnknown(func(yield func(fleet.Result, error) bool) {
		for i, o := range came {
			if !yield(fleet.Result{Target: fleet.Target{Index: i}, End: fleet.End{Outcome: o}}, nil) {
				return
			}
		}
		yield(fleet.Result{}, failed)
	}, map[int]bool{0: true, 1: true, 2: true}) {
		if i == len(want) {
			if !errors.Is(err, failed) {
				t.Errorf("error %v, want %v", err, failed)
			}
			break
		}
		if err != nil || res.Outcome != want[i] || (res.Outcome == unknown) != (res.Err != nil) {
			t.Errorf("%d: %v (%v, %v), want %v", i, res.Outcome, res.Err, err, want[i])
		}
		i++
	}
}

// A command that ended by itself was not killed, whatever was left of it.
func TestKilledRest(t *testing.T) {
	given := fleet.Result{End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonTimeout}, Started: time.Now()}
	report := remote.Report{State: remote.StateEnded, Cause: remote.CauseExit, Status: 3}
	for kill, want := range map[remote.Kill]fleet.Outcome{
		remote.KillEnded: fleet.OutcomeSignalled, remote.KillRest: fleet.OutcomeFailed, remote.KillGone: fleet.OutcomeFailed, remote.KillAlive: fleet.OutcomeUnknown,
	} {
		k := killer{waiting: map[int]fleet.Result{0: given}}
		report.Kill = kill
		if got := k.judge(Reply{Report: report}); got.Outcome != want || len(k.waiting) != 0 {
			t.Errorf("%s: %v, status %d; want %v", kill, got.Outcome, got.Status, want)
		}
	}
}

// That the host was up since the last attempt proves nothing of those before it, which may have
// run before a reboot.
func TestKilledAfterReboot(t *testing.T) {
	now := time.Now()
	given := fleet.Result{End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonTimeout}, Started: now.Add(-time.Minute)}
	report := remote.Report{State: remote.StateNever, Kill: remote.KillGone, Up: 30 * time.Minute}
	for outcome, want := range map[fleet.Outcome]fleet.Outcome{
		fleet.OutcomeNeverStarted: fleet.OutcomeNeverStarted, fleet.OutcomeUnknown: fleet.OutcomeUnknown,
	} {
		given.Earlier = []fleet.Try{{End: fleet.End{Outcome: outcome}, Started: now.Add(-time.Hour)}}
		k := killer{waiting: map[int]fleet.Result{0: given}}
		if got := k.judge(Reply{Report: report}); got.Outcome != want {
			t.Errorf("after an attempt that was %v: %v, want %v", outcome, got.Outcome, want)
		}
	}
}

// Where the hosts cannot be asked at all, every result comes still, and the error last.
func TestKillingFailsAsAWhole(t *testing.T) {
	const ok, unknown = fleet.OutcomeOK, fleet.OutcomeUnknown
	came := []fleet.Outcome{ok, unknown, ok, unknown, ok}
	k := newKiller(engine.Options{}, nil, wrap.Options{}) // no Dialer
	var got []int
	var failed error
	for res, err := range k.results(t.Context(), func(yield func(fleet.Result, error) bool) {
		for i, o := range came {
			if !yield(fleet.Result{Target: fleet.Target{Index: i}, End: fleet.End{Outcome: o, Reason: fleet.ReasonTimeout}}, nil) {
				t.Errorf("the run was left at %d", i)
				return
			}
		}
	}) {
		if failed = err; err == nil {
			got = append(got, res.Target.Index)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []int{0, 1, 2, 3, 4}) || failed == nil || len(k.unproven) != 2 {
		t.Errorf("results of %v, %d unproven, error %v; want all five, two of them, and an error", got, len(k.unproven), failed)
	}
}
