package persist

import (
	"sync"
	"sync/atomic"
)

// goroutines run functions. Some of them stay for the next ones: their stacks have grown already, which
// costs more than what most of the functions do.
type goroutines struct {
	all  *sync.WaitGroup // counts the goroutines
	stop <-chan struct{} // when it is closed, none stays
	jobs chan func()     // unbuffered: sent to goroutines that wait; never closed
	idle atomic.Int32    // that wait, or are about to
}

// maxIdle is how many stay.
const maxIdle = 64

func newGoroutines(all *sync.WaitGroup, stop <-chan struct{}) *goroutines {
	return &goroutines{all: all, stop: stop, jobs: make(chan func())}
}

// run runs f on another goroutine. It does not block.
func (g *goroutines) run(f func()) {
	select {
	case g.jobs <- f:
	default:
		g.all.Go(func() { g.work(f) })
	}
}

func (g *goroutines) work(f func()) {
	for {
		f()
		if g.idle.Add(1) > maxIdle {
			g.idle.Add(-1)
			return
		}
		select {
		case f = <-g.jobs:
			g.idle.Add(-1)
		case <-g.stop:
			g.idle.Add(-1)
			return
		}
	}
}
