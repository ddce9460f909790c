package display

import (
	"context"
	"sync"
	"time"

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

// readerGrace is how long, after an abort, a reader that reads nothing is waited for. Then it
// counts as stopped.
const readerGrace = time.Second

// A showing passes results to a function one by one on its own goroutine, so
// that a reader of our output that blocks holds up neither the journal nor a
// stop. push blocks when the queue is full, which bounds memory; after an abort
// only as long as the reader goes on reading.
type showing struct {
	show func(fleet.Result)

	mu      sync.Mutex
	change  *sync.Cond // guards and signals changes of the fields below
	queue   []fleet.Result
	bytes   int64 // output in queue, in bytes
	closed  bool  // push is not called any more
	aborted bool  // push waits no longer than readerGrace for the reader
	stopped bool  // the reader: push no longer waits
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

// push queues a result and waits for room. After an abort it drops the result if the
// reader has stopped.
func (s *showing) push(r fleet.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.full(&r) && !s.stopped {
		s.waitForRoom()
	}
	if s.full(&r) {
		s.dropped++
		return
	}
	s.queue = append(s.queue, r)
	s.bytes += outputSize(&r)
	s.change.Broadcast()
}

// waitForRoom waits for a change. After an abort it sets stopped if the reader reads nothing
// for readerGrace. mu must be held.
func (s *showing) waitForRoom() {
	if s.aborted {
		shown := s.shown
		timer := time.AfterFunc(readerGrace, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stopped = s.stopped || s.shown == shown
			s.change.Broadcast()
		})
		defer timer.Stop()
	}
	s.change.Wait()
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

// AbortWith makes push wait only for a reader that goes on reading once ctx ends, and not
// at all once hurried is closed. undo ends that.
func (s *showing) AbortWith(ctx context.Context, hurried <-chan struct{}) (undo func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	set := func(flag *bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		*flag = true
		s.change.Broadcast()
	}
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
			set(&s.aborted)
		case <-over:
			return
		}
		select {
		case <-hurried:
			set(&s.stopped)
		case <-over:
		}
	}()
	return func() { close(over); <-ended }
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

// A liveSink prints output while commands run.
type liveSink interface {
	output.Sink
	Follow(t fleet.Target, attempt int, s fleet.Stream, fresh []byte)
}

// A follower prints output while commands run, at the terminal's pace. It wraps a liveSink
// as the run's sink, so that printing new output and printing the result never overlap for
// one target.
type follower struct {
	live liveSink
	*engine.Follower
}

// newFollower returns a follower; left is as in engine.NewFollower.
func newFollower(live liveSink, left func(fleet.Target, int64)) *follower {
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
