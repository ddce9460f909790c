package persist

import (
	"sync"
	"sync/atomic"
)

// A crew runs functions on goroutines, some of which stay for the next ones: their stacks have grown
// already, which costs more than what most of the functions do.
type crew struct {
	all  *sync.WaitGroup // counts the goroutines
	stop <-chan struct{} // when it is closed, none stays
	jobs chan func()     // unbuffered: sent to goroutines that wait; never closed
	idle atomic.Int32    // that wait, or are about to
}

// maxIdle is how many goroutines of a crew stay.
const maxIdle = 64

func newCrew(all *sync.WaitGroup, stop <-chan struct{}) *crew {
	return &crew{all: all, stop: stop, jobs: make(chan func())}
}

// run runs f on another goroutine. It does not block.
func (c *crew) run(f func()) {
	select {
	case c.jobs <- f:
	default:
		c.all.Go(func() { c.work(f) })
	}
}

func (c *crew) work(f func()) {
	for {
		f()
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		select {
		case f = <-c.jobs:
			c.idle.Add(-1)
		case <-c.stop:
			c.idle.Add(-1)
			return
		}
	}
}
