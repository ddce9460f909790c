package shoal

import (
	"sync"

	"shoal/fleet"
	"shoal/internal/engine"
)

// A stream passes the output of running commands to a function. Commands must not
// wait for it, so announce only queues the target's Output, and a goroutine calls the
// function at its own pace.
type stream struct {
	to func(Target, fleet.Stream, []byte)

	calling sync.Mutex        // held while to is called
	sent    map[int]*progress // by index; calling must be held

	mu    sync.Mutex
	wake  *sync.Cond
	queue []*engine.Output // each at most once: it is announced again only after Next
	ended bool
	done  sync.WaitGroup
}

// progress is how many bytes of an attempt were passed on.
type progress struct {
	attempt int
	n       [fleet.NumStreams]int
}

func newStream(to func(Target, fleet.Stream, []byte)) *stream {
	s := &stream{to: to, sent: make(map[int]*progress)}
	s.wake = sync.NewCond(&s.mu)
	s.done.Go(s.pass)
	return s
}

// announce implements engine.Options.Follow.
func (s *stream) announce(o *engine.Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, o)
	s.wake.Signal()
}

func (s *stream) pass() {
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.ended {
			s.wake.Wait()
		}
		queue, ended := s.queue, s.ended
		s.queue = nil
		s.mu.Unlock()
		if ended {
			return
		}
		for _, o := range queue {
			s.next(o)
		}
	}
}

func (s *stream) next(o *engine.Output) {
	s.calling.Lock()
	defer s.calling.Unlock()
	stdout, stderr := o.Next()
	for i, fresh := range [fleet.NumStreams][]byte{stdout, stderr} {
		if len(fresh) == 0 {
			continue
		}
		p := s.sent[o.Target.Index]
		if p == nil || p.attempt != o.Attempt {
			p = &progress{attempt: o.Attempt}
			s.sent[o.Target.Index] = p
		}
		p.n[i] += len(fresh)
		s.to(o.Target, fleet.Stream(i), fresh)
	}
}

// result passes on what of the result's output was not yet.
func (s *stream) result(r *Result) {
	s.calling.Lock()
	defer s.calling.Unlock()
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
}

func (s *stream) end() {
	s.mu.Lock()
	s.ended = true
	s.wake.Signal()
	s.mu.Unlock()
	s.done.Wait()
}
