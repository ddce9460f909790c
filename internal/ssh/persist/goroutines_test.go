package persist

import (
	"sync"
	"testing"
	"testing/synctest"
)

// They run everything at once, some stay for what follows, and none after the stop.
func TestGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all, running sync.WaitGroup
		stop, release := make(chan struct{}), make(chan struct{})
		c := newGoroutines(&all, stop)
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
			t.Error("nothing runs after the stop")
		}
	})
}
