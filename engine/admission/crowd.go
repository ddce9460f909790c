package admission

import (
	"time"

	"shoal/fleet"
)

// askPause is how often connects are asked for their phase at the most.
const askPause = 2 * time.Millisecond

// A crowd bounds the connects in one phase by not starting others. Nobody tells
// when a connect goes on to its next phase; so they are asked when there may be
// too many. Slow ones do not count.
type crowd struct {
	last  fleet.Phase // the phase and those before it
	limit int         // 0 means no bound
	n     int
	asked time.Time
}

// full says whether one more is too many of those that are connecting.
func (c *crowd) full(connecting *list, now time.Time) bool {
	if c.limit == 0 || c.n < c.limit {
		return false
	}
	if now.Sub(c.asked) < askPause {
		return true
	}
	c.asked = now
	c.n = 0
	for t := connecting.first; t != nil; t = t.next {
		if t.Timeline == nil || t.Timeline.Phase() <= c.last {
			c.n++
		}
	}
	return c.n >= c.limit
}

func (c *crowd) enter() { c.n++ }

// leave may be told of one that has not been counted for a while.
func (c *crowd) leave() { c.n = max(0, c.n-1) }
