package persist

import (
	"sync"
	"testing"
	"testing/synctest"
)

// A crew runs everything at once, keeps some of its goroutines for what follows, and none when it stops.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all, running sync.WaitGroup
		stop, release := make(chan struct{}), make(chan struct{})
		c := newCrew(&all, stop)
		const n = 3 * maxIdle
		running.Add(n)
		for range n {
			c.run(func() { running.Done(); <-release })
		}
		running.Wait() // none waits for another one
		close(release)
		synctest.Wait()
		if idle := c.idle.Load(); idle != maxIdle {
			t.Errorf("%d goroutines stay", idle)
		}
		ran := false
		c.run(func() { ran = true })
		synctest.Wait()
		if idle := c.idle.Load(); !ran || idle != maxIdle {
			t.Errorf("ran %t, %d goroutines stay", ran, idle)
		}
		close(stop)
		all.Wait()
		c.run(func() { ran = false })
		if all.Wait(); ran {
			t.Error("nothing runs after the crew has stopped")
		}
	})
}
