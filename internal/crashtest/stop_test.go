package crashtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/simfleet"
)

// abortWindow is the time within which a second SIGINT aborts.
const abortWindow = time.Second

// A way is a sequence of signals that stops a run.
type way struct {
	name    string
	signals []syscall.Signal // the second comes within abortWindow of the first
	aborts  bool
}

var ways = []way{
	{"SIGINT", []syscall.Signal{syscall.SIGINT}, false},
	{"SIGINT twice", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, true},
	{"SIGTERM", []syscall.Signal{syscall.SIGTERM}, true},
	{"SIGHUP", []syscall.Signal{syscall.SIGHUP}, true},
}

// wayOf gives every fourth of the first n trials a second SIGINT; later trials
// get SIGTERM and SIGHUP in turn.
func wayOf(i, n int) way {
	switch {
	case i >= n:
		return ways[2+i%2]
	case i%4 == 3:
		return ways[1]
	}
	return ways[0]
}

// What keeps a run busy in addition to faults: hosts that never complete, and
// commands that do not end, for which only an abort does not wait.
var (
	neverThrough = map[int]simfleet.Fault{
		1: simfleet.FaultSilent, 5: simfleet.FaultThrottle, 43: simfleet.FaultStallKex, 47: simfleet.FaultAuthStall,
	}
	neverEnding = map[int]simfleet.Fault{9: simfleet.FaultExecStall, 33: simfleet.FaultNoClose}
)

// A run is stopped at any time. It ends soon, reports every target, and its
// report is true; then it is resumed.
// faults.md: R13
func TestStoppedAtRandomTimes(t *testing.T) {
	n := int(knob(t, "CRASHTEST_SIGNALS", 8))
	others := (n + 3) / 4 // SIGTERM and SIGHUP
	length := pace(t)
	var c stops
	trials(t, n+others, func(t *testing.T, i int, random *rand.Rand) {
		w := wayOf(i, n)
		more := maps.Clone(neverThrough)
		if w.aborts {
			maps.Copy(more, neverEnding)
		}
		x := newTrial(t, more)
		x.flags = variants[random.IntN(len(variants))]
		args, left := x.runArgs(), hosts
		for again := 1; again > 0; again = random.IntN(2) {
			s := x.start(someTrigger(random, length+length/10, asked), args)
			took := x.stop(s, w, length, random)
			f := x.verify(s)
			c.add(w, x.checkStopped(s, f, left), took)
			if t.Failed() {
				t.Logf("%s, exit code %d: %s", w.name, s.code(), s.said())
			}
			if f.notBegun || t.Failed() {
				break
			}
			args, left = x.resumeArgs(), f.resumable()
		}
		x.finish()
	})
	t.Logf("a run takes %v\n%v", length, &c)
	// 2 s are promised; a busy machine may take longer.
	const bound = 20 * time.Second
	for name, took := range c.took {
		if took > bound {
			t.Errorf("%s: it took %v to end", name, took)
		}
	}
}

// stop stops a session at its trigger, and returns the time from the last
// signal to its end.
func (x *trial) stop(s *session, w way, length time.Duration, random *rand.Rand) time.Duration {
	x.t.Helper()
	const gap = abortWindow / 2
	if s.await(length) {
		s.send(w.signals[0])
	}
	for _, sig := range w.signals[1:] {
		if s.linger(time.Duration(random.Int64N(int64(gap)))) {
			s.send(sig)
		}
	}
	// If the machine was so slow that the second signal came too late, send it
	// again, as a person would.
	for n := 0; n < 10 && len(w.signals) > 1 && s.linger(2*abortWindow); n++ {
		s.send(syscall.SIGINT)
		s.send(syscall.SIGINT)
	}
	s.wait()
	if s.sentAt.IsZero() {
		return 0
	}
	return s.ended.Sub(s.sentAt)
}

// A stopping is how a session that was told to stop ended.
type stopping int

const (
	early stopping = iota // before it handled signals, and before anything was started
	told                  // with a summary
	late                  // by itself, before the signal
	stoppings
)

// checkStopped compares what a session printed about targets with the journal,
// the servers' log and the exit code.
func (x *trial) checkStopped(s *session, f finding, targets int) stopping {
	x.t.Helper()
	if s.sentAt.IsZero() {
		return late
	}
	a := s.account()
	if code := s.code(); code != 130 && (a.summary != nil || !s.killed()) {
		x.t.Errorf("exit code %d, want 130", code)
	}
	if a.summary == nil && s.killed() {
		if slices.Contains(f.fresh, true) || len(a.results) > 0 {
			x.t.Errorf("it was ended by %v and had started something", s.status.Signal())
		}
		return early
	}
	if a.summary == nil || a.summary.Targets() != targets || len(a.results) != targets || a.targets != targets {
		x.t.Fatalf("%d results of %d targets, want %d; summary %+v", len(a.results), a.targets, targets, a.summary)
	}
	var counted [fleet.NumOutcomes]int
	for _, r := range a.results {
		counted[r.Outcome]++
	}
	if counted != a.summary.Outcomes || !a.summary.Interrupted {
		x.t.Errorf("the summary has %v, interrupted %v, and the results are %v", a.summary.Outcomes, a.summary.Interrupted, counted)
	}
	if f.state != journal.Ended {
		x.t.Errorf("the run is %v in the journal", f.state)
	}
	if targets < x.hosts {
		return told // the servers' log includes earlier sessions: verify has compared it
	}
	if report := simfleet.Check(f.log, slices.Values(a.results), x.hosts); !report.OK() {
		x.t.Errorf("%v", report)
	}
	return told
}

// stops counts how sessions ended, by way. It is safe for concurrent use.
type stops struct {
	mu    sync.Mutex
	count map[string]*[stoppings]int
	took  map[string]time.Duration // maximum
}

func (c *stops) add(w way, how stopping, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count, c.took = make(map[string]*[stoppings]int), make(map[string]time.Duration)
	}
	if c.count[w.name] == nil {
		c.count[w.name] = new([stoppings]int)
	}
	c.count[w.name][how]++
	c.took[w.name] = max(c.took[w.name], took)
}

func (c *stops) String() string {
	text := ""
	for _, w := range ways {
		if n := c.count[w.name]; n != nil {
			text += fmt.Sprintf("%s: %d ended with a summary, %d before anything was started, %d before it came; at most %v after the last signal\n",
				w.name, n[told], n[early], n[late], c.took[w.name])
		}
	}
	return text
}
