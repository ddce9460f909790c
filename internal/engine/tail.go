package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shoal/fleet"
)

// An Output is the output of one target while its command runs.
type Output struct {
	// Target is the target whose output it is.
	Target fleet.Target
	// Attempt is the attempt that it is of, from 1. An Idempotent run may try again what
	// has written output.
	Attempt int

	follow func(*Output)
	fail   func(error) // the run's own error, which stops it
	limit  int64       // bytes kept of each stream; negative: no limit
	budget *budget     // shared by all targets

	mu      sync.Mutex
	streams [fleet.NumStreams]fleet.Output
	taken   [fleet.NumStreams]int // how many of the kept bytes Next has returned
	told    bool                  // follow was called since the last Next
	closed  bool
	last    time.Time // of the last byte; zero: none came
}

func newOutput(t fleet.Target, limit int64, b *budget, follow func(*Output), fail func(error)) *Output {
	return &Output{Target: t, limit: limit, budget: b, follow: follow, fail: fail}
}

// Next returns a copy of the bytes kept of each stream since the last call. It
// returns nothing once the target has its result, which has all of them.
func (t *Output) Next() (stdout, stderr []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = false
	if t.closed {
		return nil, nil
	}
	return t.fresh(fleet.Stdout), t.fresh(fleet.Stderr)
}

func (t *Output) fresh(s fleet.Stream) []byte {
	kept := t.streams[s].Bytes
	fresh := slices.Clone(kept[t.taken[s]:])
	t.taken[s] = len(kept)
	return fresh
}

// add keeps as much of p as the limits allow and counts all of it.
func (t *Output) add(s fleet.Stream, p []byte) {
	t.mu.Lock()
	if t.closed { // late output of an ended attempt: nothing would release its budget
		t.mu.Unlock()
		return
	}
	out := &t.streams[s]
	keep := p
	if t.limit >= 0 {
		keep = p[:min(int64(len(p)), t.limit-int64(len(out.Bytes)))]
	}
	if out.Truncated() {
		keep = nil // keep a prefix without gaps
	}
	keep = keep[:t.budget.take(len(keep))]
	out.Bytes = append(out.Bytes, keep...)
	out.Size += int64(len(p))
	if len(p) > 0 {
		t.last = time.Now()
	}
	tell := t.follow != nil && !t.told && len(keep) > 0
	t.told = t.told || tell
	t.mu.Unlock()
	if tell {
		t.follow(t)
	}
}

// lastOutput returns when the last byte came; zero: none has.
func (t *Output) lastOutput() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// close ends the Output and returns all of it.
func (t *Output) close() (stdout, stderr fleet.Output) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.streams[fleet.Stdout], t.streams[fleet.Stderr]
}

func (t *Output) writer(s fleet.Stream) tailWriter { return tailWriter{t, s} }

// A tailWriter is one stream of an Output as an io.Writer. It never fails.
type tailWriter struct {
	tail   *Output
	stream fleet.Stream
}

func (w tailWriter) Write(p []byte) (int, error) {
	w.tail.add(w.stream, p)
	return len(p), nil
}

// A Follower passes the output of running commands to a function. Commands must not
// wait for a slow one, so that Announce only queues, and a goroutine calls the function.
// What it has not passed is in the result.
type Follower struct {
	pass    func(t fleet.Target, attempt int, s fleet.Stream, fresh []byte)
	passing sync.Mutex // held across Next and pass

	mu    sync.Mutex
	wake  *sync.Cond
	queue []*Output // each at most once: it is announced again only after Next
	ended bool
	done  sync.WaitGroup
}

// NewFollower starts a Follower. pass is called for one output at a time, in the order of
// its bytes; it may keep fresh. A panic of it is treated as one of Options.Follow.
func NewFollower(pass func(t fleet.Target, attempt int, s fleet.Stream, fresh []byte)) *Follower {
	f := &Follower{pass: pass}
	f.wake = sync.NewCond(&f.mu)
	f.done.Go(f.run)
	return f
}

// Announce is for Options.Follow.
func (f *Follower) Announce(o *Output) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, o)
	f.wake.Signal()
}

// Exclude calls do while nothing is passed. Nothing of a target is passed any more once
// do was called with its result.
func (f *Follower) Exclude(do func()) {
	f.passing.Lock()
	defer f.passing.Unlock()
	do()
}

// Close returns when pass was called for the last time. Output that is still queued is
// dropped.
func (f *Follower) Close() {
	f.mu.Lock()
	f.ended = true
	f.wake.Signal()
	f.mu.Unlock()
	f.done.Wait()
}

func (f *Follower) run() {
	for {
		f.mu.Lock()
		for len(f.queue) == 0 && !f.ended {
			f.wake.Wait()
		}
		queue, ended := f.queue, f.ended
		f.queue = nil
		f.mu.Unlock()
		if ended {
			return
		}
		for _, o := range queue {
			f.next(o)
		}
	}
}

func (f *Follower) next(o *Output) {
	f.passing.Lock()
	defer f.passing.Unlock()
	stdout, stderr := o.Next()
	for s, fresh := range [fleet.NumStreams][]byte{stdout, stderr} {
		if len(fresh) > 0 {
			f.give(o, fleet.Stream(s), fresh)
		}
	}
}

func (f *Follower) give(o *Output, s fleet.Stream, fresh []byte) {
	defer caught("Output", o.fail) // its name in the library
	f.pass(o.Target, o.Attempt, s, fresh)
}

// A budget limits the output that all targets in flight hold together, so that ten
// thousand talkative hosts cannot exhaust the memory. Excess output is dropped and
// counted, like output beyond a target's own limit.
type budget struct {
	limit int64 // negative: no limit
	held  atomic.Int64
}

// take reserves up to n bytes and returns how many it reserved.
func (b *budget) take(n int) int {
	if b.limit < 0 {
		return n
	}
	for {
		held := b.held.Load()
		got := min(int64(n), b.limit-held)
		if got <= 0 {
			return 0
		}
		if b.held.CompareAndSwap(held, held+got) {
			return int(got)
		}
	}
}

// give releases n bytes.
func (b *budget) give(n int) {
	if b.limit >= 0 {
		b.held.Add(-int64(n))
	}
}
