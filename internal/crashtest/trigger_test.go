package crashtest

import (
	"math/rand/v2"
	"sync"
	"time"

	"shoal/simfleet"
)

// A trigger is when a process is stopped: after a time or, with nth, a time
// after that many commands have begun or ended.
type trigger struct {
	nth   int
	ended bool
	after time.Duration
}

// someTrigger is a random time in a run of that length, often close to its
// start, or to the start or end of a command, often the last.
func someTrigger(random *rand.Rand, length time.Duration, asked int) trigger {
	some := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) }
	nth := 1 + random.IntN(asked)
	switch random.IntN(10) {
	case 0:
		return trigger{after: some(length / 10)}
	case 1, 2:
		return trigger{nth: nth, after: some(5 * time.Millisecond)}
	case 3, 4:
		return trigger{nth: nth, ended: true, after: some(10 * time.Millisecond)}
	case 5:
		return trigger{nth: asked, ended: true, after: some(20 * time.Millisecond)}
	}
	return trigger{after: some(length)}
}

// A watch counts the commands that begin and end.
type watch struct {
	mu      sync.Mutex
	want    trigger
	seen    int
	reached chan struct{} // closed by record after want.nth commands
}

// expect starts counting.
func (w *watch) expect(m trigger) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.want, w.seen, w.reached = m, 0, make(chan struct{})
	if m.nth == 0 {
		close(w.reached)
	}
	return w.reached
}

// record receives the fleet's log entries.
func (w *watch) record(e simfleet.Exec) { w.count(!e.Ended.IsZero()) }

// count counts a command that began or ended.
func (w *watch) count(ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.want.nth == 0 || ended != w.want.ended {
		return
	}
	if w.seen++; w.seen == w.want.nth {
		close(w.reached)
	}
}
