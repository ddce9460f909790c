package crashtest

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// A run is killed before and after each write of its journal in turn: system
// calls that change something in the state directory, counted from outside,
// without support in the program.
// faults.md: R14
func TestKilledAtEveryWrite(t *testing.T) {
	x := newTrial(t, nil)
	s, whole := x.trace(write{}, x.runArgs())
	if a := s.account(); a.summary == nil || whole.seen < 2*hosts {
		t.Fatalf("%d writes, exit code %d: %s", whole.seen, s.code(), s.said())
	}
	// Another run may make a few more.
	writes := whole.seen + whole.seen/20
	n := int(knob(t, "CRASHTEST_WRITES", 16))
	if n == 0 {
		n = 2 * writes
	}
	var c coverage
	var mu sync.Mutex
	kinds := make(map[string]int)
	trials(t, n, func(t *testing.T, i int, random *rand.Rand) {
		x := newTrial(t, nil)
		kill := write{nth: 1 + i*writes/n, after: i%2 == 1}
		if n < writes {
			kill.nth += random.IntN(writes / n) // a different one each time
		}
		args := x.runArgs()
		for range 2 {
			s, tr := x.trace(kill, args)
			f := x.verify(s)
			if !tr.at.IsZero() {
				c.add(f, tr.at)
				mu.Lock()
				kinds[tr.dying]++
				mu.Unlock()
			}
			if t.Failed() {
				t.Logf("killed at %+v of %d: %s", kill, tr.seen, tr.dying)
			}
			if f.notBegun || t.Failed() || random.IntN(4) > 0 {
				break
			}
			// The session that resumes it is killed too, at any write.
			args, kill.nth = x.resumeArgs(), 1+random.IntN(writes/4)
		}
		c.addUnknown(x.finish())
	})
	t.Logf("a run makes %d writes\n%v\n%v", whole.seen, &c, kinds)
	if c.deaths < n/2 || c.count[running] == 0 {
		t.Errorf("of %d, %d died, %d %s", n, c.deaths, c.count[running], placeNames[running])
	}
	if missing := c.missing(); n >= writes && len(missing) > 0 {
		t.Errorf("nothing died %q", missing)
	}
}
