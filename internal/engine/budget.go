package engine

import "sync/atomic"

// A budget bounds the output that all targets in flight hold together, so that
// ten thousand hosts with much to say cannot take the machine's memory. What
// finds no room is dropped and counted, like output beyond a target's own cap.
type budget struct {
	limit int64 // negative: no bound
	held  atomic.Int64
}

// take reserves up to n bytes and gives how many.
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

// give returns n bytes.
func (b *budget) give(n int) {
	if b.limit >= 0 {
		b.held.Add(-int64(n))
	}
}
