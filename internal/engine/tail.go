package engine

import (
	"slices"
	"sync"

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
	limit  int64   // bytes kept of each stream; negative: no limit
	budget *budget // shared by all targets

	mu      sync.Mutex
	streams [fleet.NumStreams]fleet.Output
	taken   [fleet.NumStreams]int // how many of the kept bytes Next has returned
	told    bool                  // follow was called since the last Next
	closed  bool
}

func newOutput(t fleet.Target, limit int64, b *budget, follow func(*Output)) *Output {
	return &Output{Target: t, limit: limit, budget: b, follow: follow}
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
	tell := t.follow != nil && !t.told && len(keep) > 0
	t.told = t.told || tell
	t.mu.Unlock()
	if tell {
		t.follow(t)
	}
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
