package client

import (
	"errors"
	"testing"

	"shoal/fleet"
	"shoal/internal/sshdtest"
)

// The intent is recorded before the command is sent, and if that fails the command
// is not sent.
func TestIntent(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t)
	for _, pipeline := range []Pipeline{Full, Auth, Off} {
		for _, park := range []Park{ParkBest, ParkGoroutine} {
			r := rigFor(s)
			r.Pipeline, r.Park, r.Memory = pipeline, park, newMemory(t)
			for _, contact := range []string{"first", "remembered"} {
				about := pipeline.String() + ", " + contact + " contact"
				var called int
				full := errors.New("the disk is full")
				r.intent = func() error {
					called++
					if n := r.sent("exec"); n != 0 {
						t.Errorf("%s: the command has left %d times before it was written down", about, n)
					}
					return full
				}
				runs := newCounter(t)
				e := r.run(t, runs.command())
				if e.Outcome != fleet.OutcomeNeverStarted || e.Reason != fleet.ReasonStoreFailed || !errors.Is(e.Err, full) {
					t.Errorf("%s: ended %v(%s): %v", about, e.Outcome, e.Reason, e.Err)
				}
				if called != 1 || r.sent("exec") != 0 || runs.runs(t) != 0 || r.dialled() != 1 {
					t.Errorf("%s: written down %d times, sent %d times, ran %d times; want 1, 0, 0",
						about, called, r.sent("exec"), runs.runs(t))
				}
				r.intent = func() error {
					called++
					return nil
				}
				r.run(t, runs.command()).ok(t, "done\n")
				if called != 2 || r.sent("exec") != 1 || runs.runs(t) != 1 || r.dialled() != 1 {
					t.Errorf("%s: written down %d times, sent %d times, ran %d times; want 2, 1, 1",
						about, called, r.sent("exec"), runs.runs(t))
				}
			}
		}
	}
}
