package run

import (
	"errors"
	"testing"

	"shoal/fleet"
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
