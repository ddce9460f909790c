package crashtest

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"syscall"
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

// Each write of the journal and of what else is in the state directory fails in turn, once or from
// then on, as on a full or broken disk. The run ends by itself, and what it and the journal tell is
// true; resumed where there is room again, it ends whole.
// faults.md: R11
func TestEveryWriteFails(t *testing.T) {
	if !canFail {
		t.Skip("system calls are made to fail on amd64 alone")
	}
	x := newTrial(t, nil)
	s, whole := x.trace(write{}, x.runArgs())
	if a := s.account(); a.summary == nil || whole.seen < 2*hosts {
		t.Fatalf("%d writes, exit code %d: %s", whole.seen, s.code(), s.said())
	}
	n := int(knob(t, "CRASHTEST_FAILURES", 12))
	if n == 0 {
		n = 2 * whole.seen
	}
	var mu sync.Mutex
	failed := make(map[string]int)
	trials(t, n, func(t *testing.T, i int, random *rand.Rand) {
		x := newTrial(t, nil)
		fail := write{nth: 1 + i*whole.seen/n, ever: i%2 == 1, errno: syscall.EIO}
		if i%4 > 1 {
			fail.errno = syscall.ENOSPC
		}
		if n < whole.seen {
			fail.nth += random.IntN(whole.seen / n)
		}
		s, tr := x.trace(fail, x.runArgs())
		mu.Lock()
		failed[tr.dying]++
		mu.Unlock()
		if bytes.Contains(s.said(), []byte("goroutine ")) {
			t.Errorf("it crashed: %s", s.said())
		}
		if s.code() == 2 && s.printed() == 0 { // it could not even begin
			if execs := len(x.fleet.Log()); execs > 0 {
				t.Errorf("%d commands ran: %s", execs, s.said())
			}
		} else {
			x.verify(s)
		}
		x.finish()
		if t.Failed() {
			t.Logf("%+v of %d failed: %s; exit code %d: %s", fail, tr.seen, tr.dying, s.code(), s.said())
		}
	})
	t.Logf("a run makes %d writes; what failed first: %v", whole.seen, failed)
}
