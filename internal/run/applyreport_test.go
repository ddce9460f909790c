package run

import (
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/internal/remote"
)

// A marker that says "never" is only a proof if the host has been up since
// before the command was sent, and our clock tells how long ago that was.
func TestNeverAndTheClock(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ended := sent.Add(10 * time.Minute)
	info := &journal.RunInfo{Sessions: []journal.Session{{Started: sent, Ended: ended}}}
	q := &query{}
	q.entry.Intents = []journal.Intent{{At: sent.Add(time.Second)}, {At: sent.Add(2 * time.Second)}}
	for name, c := range map[string]struct {
		now   time.Time
		up    time.Duration
		known bool
	}{
		"up all the time":                         {sent.Add(time.Hour), 2 * time.Hour, true},
		"booted since":                            {sent.Add(time.Hour), 30 * time.Minute, false},
		"a day later by the clock alone":          {sent.Add(25 * time.Hour), 2 * time.Hour, false},
		"booted, and the clock a day back":        {sent.Add(-23 * time.Hour), 30 * time.Minute, false},
		"booted, and the clock some minutes back": {ended.Add(-time.Minute), 30 * time.Minute, false},
		"between two intents":                     {sent.Add(1500 * time.Millisecond), time.Hour, false},
	} {
		res, known := ApplyReport(fleet.Result{End: fleet.End{Outcome: fleet.OutcomeUnknown}},
			remote.Report{State: remote.StateNever, Up: c.up}, q.since(info, c.now), false)
		want := fleet.OutcomeUnknown
		if c.known {
			want = fleet.OutcomeNeverStarted
		}
		if known != c.known || res.Outcome != want {
			t.Errorf("%s: known %v, %v", name, known, res.Outcome)
		}
	}
}
