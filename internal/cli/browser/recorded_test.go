package browser

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/browse"
	"shoal/internal/journal"
	"shoal/record"
)

// A run of another process is read whole once, then what was written since, and whole again when it
// has ended.
func TestRecordedPoll(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	open := func() *journal.Journal {
		j, err := journal.Open(ctx, dir, journal.Options{})
		must(err)
		t.Cleanup(func() { must(j.Close()) })
		return j
	}
	other, ours := open(), open()
	targets := make([]fleet.Target, 4)
	for i := range targets {
		targets[i] = fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("web%d", i)}, Index: i * 3}
	}
	run, err := other.Begin(ctx, journal.RunInfo{Header: record.Header{Command: "uptime"}}, slices.Values(targets))
	must(err)
	info, err := ours.Run(ctx, run.ID())
	must(err)
	r := NewRecorded(ours, info)
	poll := func(want string, over bool) {
		t.Helper()
		u, err := r.Poll(ctx)
		must(err)
		var rows []string
		for _, row := range u.Rows {
			state := map[browse.State]string{browse.Waiting: "waits", browse.InFlight: "runs", browse.Done: row.End.Outcome.String()}[row.State]
			rows = append(rows, fmt.Sprint(row.Index, " ", state))
		}
		if got := strings.Join(rows, ", "); got != want || u.Over != over {
			t.Errorf("%s, over %v; want %s, over %v", got, u.Over, want, over)
		}
	}
	result := func(i int) {
		t.Helper()
		must(run.Result(fleet.Result{Target: targets[i], End: fleet.End{Outcome: fleet.OutcomeOK}, Attempt: 1}))
		must(run.Flush())
	}
	must(run.Intend(0, 1, netip.AddrPort{}))
	poll("0 runs, 3 waits, 6 waits, 9 waits", false)
	result(0)
	must(run.Intend(6, 1, netip.AddrPort{}))
	poll("0 ok, 6 runs", false)
	poll("", false)
	result(1)
	must(run.End(journal.Ending{Interrupted: true}))
	poll("3 ok, 6 unknown, 9 cancelled", true)
	poll("", true)
}
