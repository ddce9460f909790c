package engine

import "sync/atomic"

// A budget limits the output that all targets in flight hold together, so that ten
// thousand talkative hosts cannot exhaust the memory. Excess output is dropped and
// counted, like output beyond a target's own limit.
type budget struct {
	limit int64 // negative: no limit
	held  atomic.Int64
}

// take reserves up to n bytes and returns how many it reserved.
func (b *budget) take(n int) int {
	if b.limit < 0 {
		return n
	}
	for {
		held := b.held.Load()
		got := min(int64(n), b.limit-held)
		if got <= 0 {
			return 0
		}
		if b.held.CompareAndSwap(held, held+got) {
			return int(got)
		}
	}
}

// give releases n bytes.
func (b *budget) give(n int) {
	if b.limit >= 0 {
		b.held.Add(-int64(n))
	}
}
