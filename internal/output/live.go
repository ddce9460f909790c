package output

import (
	"sync"

	"shoal/fleet"
	"shoal/internal/ui"
)

// LiveOptions say how Live prints.
type LiveOptions struct {
	// Stdout takes the hosts' standard output, Stderr their standard error and
	// one line for each target that did not end well.
	Stdout, Stderr Out
	// NoPrefix leaves the host's name away. Without Escape the bytes are then
	// exactly those of the hosts, one after the other.
	NoPrefix bool
}

// Live prints each line with the name of its host in front, and lines of
// different hosts are never mixed. It is safe for concurrent use.
//
// Output may be given to Follow while a command runs; Result prints the rest.
// The lock is held across writes on purpose: lines must leave one after the
// other, and a slow reader makes the callers wait. Who must not wait puts a
// queue in front.
type Live struct {
	opts LiveOptions

	mu   sync.Mutex
	seen map[int]*[fleet.NumStreams]follower // by Target.Index
	buf  []byte
	errs [fleet.NumStreams]error // sticky: after EPIPE nothing more is written
}

// NewLive gives a Live that is ready.
func NewLive(o LiveOptions) *Live {
	return &Live{opts: o, seen: make(map[int]*[fleet.NumStreams]follower)}
}

// Follow prints the whole lines among the fresh bytes of one stream of a
// command that still runs. The bytes of a stream must be given without a gap
// from its beginning, and none after the target's Result. An error of writing
// comes from the next Result. fresh is not kept.
func (l *Live) Follow(t fleet.Target, s fleet.Stream, fresh []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen[t.Index]
	if seen == nil {
		seen = new([fleet.NumStreams]follower)
		l.seen[t.Index] = seen
	}
	out := l.out(s)
	l.buf = seen[s].follow(l.buf[:0], out, l.prefix(&t, s), fresh)
	l.flush(s)
}

// Result prints what Follow has not, and how the target ended unless it is ok.
func (l *Live) Result(r fleet.Result) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var seen [fleet.NumStreams]follower
	if followed := l.seen[r.Target.Index]; followed != nil {
		seen = *followed
		delete(l.seen, r.Target.Index)
	}
	for s, output := range []fleet.Output{r.Stdout, r.Stderr} {
		s := fleet.Stream(s)
		l.buf = seen[s].finish(l.buf[:0], l.out(s), l.prefix(&r.Target, s), output.Bytes)
		l.flush(s)
	}
	if text := told(&r); text != "" {
		// No host's own line begins like this: those begin with its name.
		l.buf = append(l.buf[:0], "shoal: "...)
		l.buf = append(l.buf, l.opts.Stderr.label(r.Target.Host.String()+":", ui.Red)...)
		l.buf = append(l.buf, ' ')
		l.buf = append(l.buf, text...)
		l.buf = append(l.buf, '\n')
		l.flush(fleet.Stderr)
	}
	return l.err()
}

// Close gives the first error of writing, if there was one. Lines whose end
// and Result never came are not printed.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err()
}

func (l *Live) out(s fleet.Stream) Out {
	if s == fleet.Stderr {
		return l.opts.Stderr
	}
	return l.opts.Stdout
}

func (l *Live) prefix(t *fleet.Target, s fleet.Stream) []byte {
	if l.opts.NoPrefix {
		return nil
	}
	style := ui.Cyan
	if s == fleet.Stderr {
		style = ui.Yellow
	}
	return append(l.out(s).label(t.Host.String()+":", style), ' ')
}

// flush writes buf to the stream's writer.
func (l *Live) flush(s fleet.Stream) {
	if l.errs[s] == nil {
		l.errs[s] = wrap(s, l.out(s).write(l.buf))
	}
	if cap(l.buf) > 16*maxLine {
		l.buf = nil
	}
}

func (l *Live) err() error {
	if l.errs[fleet.Stdout] != nil {
		return l.errs[fleet.Stdout]
	}
	return l.errs[fleet.Stderr]
}
