package display

import (
	"context"
	"sync"

	"shoal/fleet"
	"shoal/internal/cli/signals"
)

const (
	// maxShowing bounds the results that wait to be shown: their output in bytes,
	// and their number. Beyond it, who has more waits.
	maxShowing      = 16 << 20
	maxShowingCount = 10_000
)

// A showing hands results to a function one after the other, on a goroutine of
// its own: a reader of our output who takes nothing holds up neither the journal
// nor a stop. Until an abort it does hold up who pushes, so that memory stays
// bounded; from then on nobody waits for it.
type showing struct {
	show func(fleet.Result)

	mu      sync.Mutex
	change  *sync.Cond // of what follows
	queue   []fleet.Result
	bytes   int64 // of the output in queue
	closed  bool  // nothing more is pushed
	aborted bool  // nobody waits
	shown   int
	dropped int

	done chan struct{} // closed when everything is shown, by the goroutine
}

func newShowing(show func(fleet.Result)) *showing {
	s := &showing{show: show, done: make(chan struct{})}
	s.change = sync.NewCond(&s.mu)
	go s.run() // ends after end; one that hangs in show ends with the process
	return s
}

func outputSize(r *fleet.Result) int64 { return int64(len(r.Stdout.Bytes) + len(r.Stderr.Bytes)) }

// push queues a result, once there is room. After an abort one for which there
// is none is dropped.
func (s *showing) push(r fleet.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.full(&r) && !s.aborted {
		s.change.Wait()
	}
	if s.full(&r) {
		s.dropped++
		return
	}
	s.queue = append(s.queue, r)
	s.bytes += outputSize(&r)
	s.change.Broadcast()
}

// full reports whether there is no room for r. Called with mu held.
func (s *showing) full(r *fleet.Result) bool {
	return len(s.queue) > 0 && (s.bytes+outputSize(r) > maxShowing || len(s.queue) >= maxShowingCount)
}

func (s *showing) run() {
	defer close(s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.queue) == 0 && !s.closed {
			s.change.Wait()
		}
		if len(s.queue) == 0 {
			return
		}
		r := s.queue[0]
		s.queue[0] = fleet.Result{}
		s.queue = s.queue[1:]
		s.bytes -= outputSize(&r)
		s.change.Broadcast()
		s.mu.Unlock()
		s.show(r)
		s.mu.Lock()
		s.shown++
	}
}

// AbortWith has nobody wait for the reader once ctx has ended. The function that
// it gives undoes that.
func (s *showing) AbortWith(ctx context.Context) (undo func() bool) {
	return context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.aborted = true
		s.change.Broadcast()
	})
}

// End waits until everything is shown, or patience ends. It reports how many
// results are not shown then.
func (s *showing) end(p signals.Patience) (left int) {
	s.mu.Lock()
	s.closed = true
	s.change.Broadcast()
	s.mu.Unlock()
	p.Wait(s.done, s.progress)
	s.mu.Lock()
	defer s.mu.Unlock()
	left = s.dropped + len(s.queue)
	select {
	case <-s.done:
	default:
		left++ // the one that is being shown
	}
	return left
}

func (s *showing) progress() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}
