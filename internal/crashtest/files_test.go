package crashtest

import (
	"testing"

	"shoal/fleet"
)

// With fewer files than hosts the run is narrower, and no host is the worse for it.
// faults.md: R05
func TestFewFiles(t *testing.T) {
	x := newTrial(t, nil)
	x.files = 40
	x.usual = []string{"-f", "50", "--attempts", "3"}
	s := x.start(trigger{}, x.runArgs())
	s.wait()
	a := s.account()
	if a.summary == nil || len(a.results) != hosts {
		t.Errorf("%d results, exit code %d: %s", len(a.results), s.code(), s.said())
	}
	for _, r := range a.results {
		if r.Reason == fleet.ReasonLocalFiles {
			t.Errorf("target %d is %v: %v", r.Target.Index, r.Outcome, r.Err)
		}
	}
	x.verify(s)
	t.Logf("%s", s.said())
	x.finish()
}
