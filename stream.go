package shoal

import (
	"shoal/fleet"
	"shoal/internal/engine"
)

// A stream passes output to Options.Output: what running commands write, and the rest
// with the result.
type stream struct {
	to func(Target, fleet.Stream, []byte)
	*engine.Follower
	sent map[int]*progress // by index; only while Follower passes or excludes
}

// progress is how many bytes of an attempt were passed on.
type progress struct {
	attempt int
	n       [fleet.NumStreams]int
}

func newStream(to func(Target, fleet.Stream, []byte)) *stream {
	s := &stream{to: to, sent: make(map[int]*progress)}
	s.Follower = engine.NewFollower(s.fresh, nil)
	return s
}

func (s *stream) fresh(t Target, attempt int, of fleet.Stream, fresh []byte) {
	p := s.sent[t.Index]
	if p == nil || p.attempt != attempt {
		p = &progress{attempt: attempt}
		s.sent[t.Index] = p
	}
	p.n[of] += len(fresh)
	s.to(t, of, fresh)
}

// result passes on what of the result's output was not yet.
func (s *stream) result(r *Result) {
	s.Exclude(r, func() {
		var sent progress
		if p := s.sent[r.Target.Index]; p != nil && p.attempt == r.Attempt {
			sent = *p
		}
		delete(s.sent, r.Target.Index)
		for i, o := range [fleet.NumStreams]fleet.Output{r.Stdout, r.Stderr} {
			if rest := o.Bytes[min(sent.n[i], len(o.Bytes)):]; len(rest) > 0 {
				s.to(r.Target, fleet.Stream(i), rest)
			}
		}
	})
}
