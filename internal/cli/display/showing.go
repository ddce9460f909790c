package display

import (
	"context"
	"sync"

	"shoal/fleet"
	"shoal/internal/cli/signals"
	"shoal/internal/engine"
	"shoal/internal/output"
)

const (
	// maxShowing and the limit below bound the results that wait to be shown:
	// bytes of output, and number. push blocks beyond them.
	maxShowing      = 16 << 20
	maxShowingCount = 10_000
)

// A showing passes results to a function one by one on its own goroutine, so
// that a reader of our output that blocks holds up neither the journal nor a
// stop. Until an abort push blocks when the queue is full, which bounds memory;
// after it push never blocks.
type showing struct {
	show func(fleet.Result)

	mu      sync.Mutex
	change  *sync.Cond // guards and signals changes of the fields below
	queue   []fleet.Result
	bytes   int64 // output in queue, in bytes
	closed  bool  // push is not called any more
	aborted bool  // push no longer waits
	shown   int
	dropped int

	done chan struct{} // closed by run when everything is shown
}

func newShowing(show func(fleet.Result)) *showing {
	s := &showing{show: show, done: make(chan struct{})}
	s.change = sync.NewCond(&s.mu)
	go s.run() // ends after end; if show hangs, it ends with the process
	return s
}

func outputSize(r *fleet.Result) int64 { return int64(len(r.Stdout.Bytes) + len(r.Stderr.Bytes)) }

// push queues a result and waits for room. After an abort it drops the result
// instead.
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

// full reports whether there is no room for r. mu must be held.
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

// AbortWith makes push stop waiting once ctx ends. undo cancels that.
func (s *showing) AbortWith(ctx context.Context) (undo func() bool) {
	return context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.aborted = true
		s.change.Broadcast()
	})
}

// end waits until everything is shown or p runs out, and returns the number of
// results that were not shown.
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
		left++ // the result that is being shown
	}
	return left
}

func (s *showing) progress() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}

// A follower prints output while commands run, at the terminal's pace. It wraps
// output.Live as the run's sink, so that printing new output and printing the result
// never overlap for one target.
type follower struct {
	live *output.Live
	*engine.Follower
}

// newFollower returns a follower; all is Options.FollowAll of the engine.
func newFollower(live *output.Live, all bool) *follower {
	var left func(fleet.Target, int64)
	if all {
		left = live.LeaveOut
	}
	return &follower{live, engine.NewFollower(live.Follow, left)}
}

// Result implements output.Sink.
func (f *follower) Result(r fleet.Result) (err error) {
	f.Exclude(&r, func() { err = f.live.Result(r) })
	return err
}

// Close implements output.Sink.
func (f *follower) Close() error {
	f.Follower.Close()
	return f.live.Close()
}
