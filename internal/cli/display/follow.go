package display

import (
	"sync"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/output"
)

// A follower prints output while commands run. Commands must not wait for a
// slow terminal, so tell only queues the target's Output, and a goroutine
// prints at the terminal's pace. What it misses is printed with the result.
//
// It wraps output.Live as the run's sink, so that printing new output and
// printing the result never overlap for one target.
type follower struct {
	live *output.Live

	printing sync.Mutex // held across Next and Follow, and across Result

	mu    sync.Mutex
	wake  *sync.Cond
	queue []*engine.Output // each Output at most once: it is announced again only after Next
	ended bool
	done  sync.WaitGroup
}

func newFollower(live *output.Live) *follower {
	f := &follower{live: live}
	f.wake = sync.NewCond(&f.mu)
	f.done.Go(f.print)
	return f
}

// tell implements the engine's Options.Follow.
func (f *follower) tell(t *engine.Output) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, t)
	f.wake.Signal()
}

func (f *follower) print() {
	for {
		tails, more := f.take()
		if !more {
			return
		}
		for _, t := range tails {
			f.printing.Lock()
			stdout, stderr := t.Next()
			f.follow(t, fleet.Stdout, stdout)
			f.follow(t, fleet.Stderr, stderr)
			f.printing.Unlock()
		}
	}
}

// follow drops output of a target that has its result: Live would take it for a
// new target.
func (f *follower) follow(t *engine.Output, s fleet.Stream, fresh []byte) {
	if len(fresh) > 0 {
		f.live.Follow(t.Target, t.Attempt, s, fresh)
	}
}

func (f *follower) take() (tails []*engine.Output, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) == 0 && !f.ended {
		f.wake.Wait()
	}
	tails, f.queue = f.queue, nil
	return tails, !f.ended
}

// Result implements output.Sink.
func (f *follower) Result(r fleet.Result) error {
	f.printing.Lock()
	defer f.printing.Unlock()
	return f.live.Result(r)
}

// Close implements output.Sink.
func (f *follower) Close() error {
	f.mu.Lock()
	f.ended = true
	f.wake.Signal()
	f.mu.Unlock()
	f.done.Wait()
	return f.live.Close()
}
