package crashtest

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// pace returns the duration of an undisturbed run.
func pace(t *testing.T) time.Duration {
	t.Helper()
	x := newTrial(t, nil)
	begin := time.Now()
	s := x.start(trigger{}, x.runArgs())
	s.wait()
	if a := s.account(); a.summary == nil || a.summary.Targets() != hosts {
		t.Fatalf("the summary is %+v: %s", a.summary, s.said())
	}
	return s.ended.Sub(begin)
}

// A run is killed at any time, from outside, and so are some of the sessions
// that resume it; some of them while they stop after a signal.
// faults.md: R14
func TestKilledAtRandomTimes(t *testing.T) {
	n := knob(t, "CRASHTEST_KILLS", 10)
	length := pace(t)
	var c coverage
	trials(t, int(n), func(t *testing.T, _ int, random *rand.Rand) {
		x := newTrial(t, nil)
		x.flags = variants[random.IntN(len(variants))]
		args := x.runArgs()
		for again := 1; again > 0; again = random.IntN(3) {
			s := x.start(someTrigger(random, length+length/10, asked), args)
			alive := s.await(length)
			if alive && random.IntN(4) == 0 {
				s.send(syscall.SIGINT)
				alive = s.linger(time.Duration(random.Int64N(int64(length / 10))))
			}
			if alive {
				s.send(syscall.SIGKILL)
			}
			s.wait()
			f := x.verify(s)
			if s.killed() {
				c.add(f, s.sentAt)
			}
			if f.notBegun || t.Failed() {
				break
			}
			args = x.resumeArgs()
		}
		c.addUnknown(x.finish())
	})
	t.Logf("a run takes %v\n%v", length, &c)
	if c.count[running] == 0 {
		t.Errorf("nothing died %s", placeNames[running])
	}
	const enough = 200 // trials, enough to expect a death in every phase but the shortest
	if missing := c.missing(unended); n >= enough && len(missing) > 0 {
		t.Errorf("nothing died %q", missing)
	}
}
