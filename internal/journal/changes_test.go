package journal

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"shoal/fleet"
)

// Changes are the targets of which something was written after a point, as Show has them, and
// a Poller sees what others have written.
func TestChanges(t *testing.T) {
	dir := t.TempDir()
	j, other := mustOpen(t, dir, Options{}), mustOpen(t, dir, Options{})
	w, err := j.Poller(t.Context())
	check(t, err)
	defer func() { check(t, w.Close()) }()
	changed := func(want bool) {
		t.Helper()
		if got, err := w.Changed(t.Context()); err != nil || got != want {
			t.Errorf("changed: %v, %v", got, err)
		}
	}
	changed(false)
	r := mustBegin(t, other, RunInfo{}, targetsOf(5))
	changed(true)
	changed(false)
	after := int64(0)
	changes := func(state State, want ...string) {
		t.Helper()
		c, err := j.Changes(t.Context(), r.ID(), after)
		check(t, err)
		var got []string
		for _, e := range c.Entries {
			got = append(got, fmt.Sprintf("%d %s %d %s", e.Target.Index, e.Progress, e.Attempt, e.Outcome))
		}
		if c.State != state || !slices.Equal(got, want) {
			t.Errorf("%s, %q, want %s, %q", c.State, got, state, want)
		}
		after = c.Last
	}
	changes(Running)
	check(t, r.Intend(1, 1, netip.AddrPort{}))
	check(t, r.Intend(3, 1, netip.AddrPort{}))
	changed(true)
	changes(Running, "1 intended 1 unknown", "3 intended 1 unknown")
	check(t, r.Result(okResult(targetOf(3), "x")))
	check(t, r.Result(fleet.Result{Target: targetOf(4), End: fleet.End{Outcome: fleet.OutcomeNeverStarted}}))
	check(t, r.Flush())
	changes(Running, "3 done 1 ok", "4 done 0 never_started")
	check(t, r.Intend(4, 2, netip.AddrPort{})) // a later attempt
	changes(Running, "4 intended 2 unknown")
	changes(Running)
	check(t, r.Result(okResult(targetOf(1), "")))
	check(t, r.End(Ending{}))
	changed(true)
	changes(Ended, "1 done 1 ok")
	after = 0
	changes(Ended, "1 done 1 ok", "3 done 1 ok", "4 intended 2 unknown")

	second := mustBegin(t, other, RunInfo{}, targetsOf(1))
	for before, want := range map[string][]string{"": {second.ID(), r.ID()}, second.ID(): {r.ID()}, r.ID(): nil, "0": nil} {
		var got []string
		for info, err := range j.Runs(t.Context(), Filter{Before: before}) {
			check(t, err)
			got = append(got, info.Run)
		}
		if !slices.Equal(got, want) {
			t.Errorf("before %q: %v, want %v", before, got, want)
		}
	}
	check(t, second.End(Ending{}))
}
