package engine

import (
	"sync"

	"shoal/fleet"
)

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
// its bytes; it may keep fresh.
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
			f.pass(o.Target, o.Attempt, fleet.Stream(s), fresh)
		}
	}
}
