package engine

import (
	"slices"
	"sync"

	"shoal/fleet"
)

// A Tail is the output of one target while its command runs.
type Output struct {
	// Target is whose output it is.
	Target fleet.Target

	follow func(*Output)
	limit  int64   // bytes kept of each stream; negative: no bound
	budget *budget // what all targets keep together

	mu      sync.Mutex
	streams [fleet.NumStreams]fleet.Output
	taken   [fleet.NumStreams]int // how much of the kept bytes Next has given
	told    bool                  // follow was called since the last Next
	closed  bool
}

func newOutput(t fleet.Target, limit int64, b *budget, follow func(*Output)) *Output {
	return &Output{Target: t, limit: limit, budget: b, follow: follow}
}

// Next gives a copy of what was kept of both streams since the last call, and
// nothing once the target has its result: that holds the whole.
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

// add keeps what the limits allow of p and counts all of it.
func (t *Output) add(s fleet.Stream, p []byte) {
	t.mu.Lock()
	if t.closed { // a connection that goes on after its end: nobody would give back what it takes
		t.mu.Unlock()
		return
	}
	out := &t.streams[s]
	keep := p
	if t.limit >= 0 {
		keep = p[:min(int64(len(p)), t.limit-int64(len(out.Bytes)))]
	}
	if out.Truncated() {
		keep = nil // what is kept is a beginning, without gaps
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

// close ends the Tail and gives the whole output.
func (t *Output) close() (stdout, stderr fleet.Output) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.streams[fleet.Stdout], t.streams[fleet.Stderr]
}

func (t *Output) writer(s fleet.Stream) tailWriter { return tailWriter{t, s} }

// A tailWriter is one stream of a Tail as an io.Writer. It never fails.
type tailWriter struct {
	tail   *Output
	stream fleet.Stream
}

func (w tailWriter) Write(p []byte) (int, error) {
	w.tail.add(w.stream, p)
	return len(p), nil
}
