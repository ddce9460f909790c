package reach

import (
	"context"
	"sync"
	"time"

	"shoal/internal/clock"
)

// Until returns a channel that is closed when limit has passed on the clock, ctx has ended or stop
// is closed; a nil stop never is. release must be called, and closes it too.
func Until(ctx context.Context, c *clock.Clock, limit time.Duration, stop <-chan struct{}) (over <-chan struct{}, release func()) {
	closed := make(chan struct{})
	end := sync.OnceFunc(func() { close(closed) })
	stopTimer, stopContext := c.AfterFunc(limit, end), context.AfterFunc(ctx, end)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-stop:
			end()
		case <-closed:
		}
	})
	return closed, func() {
		end()
		watching.Wait()
		stopContext()
		stopTimer()
	}
}
