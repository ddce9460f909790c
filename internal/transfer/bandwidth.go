package transfer

import (
	"sync"
	"time"
)

// A bucket limits how many bytes a second many flows take together (a token bucket). Flows that
// have to wait are served in turn, burst bytes at a time.
type bucket struct {
	rate float64 // bytes per second

	mu      sync.Mutex
	tokens  float64   // negative: granted before they came
	filled  time.Time // when tokens was right
	waiting []*flow
	timer   *time.Timer // runs while a flow waits
}

// burst is the largest part that a flow is granted at a time, in bytes, and what a bucket holds.
const burst = 32 << 10

func newBucket(rate int64) *bucket {
	return &bucket{rate: float64(rate), tokens: burst, filled: time.Now()}
}

// A flow is one connection's use of a bucket.
type flow struct {
	bucket  *bucket
	wake    func() // called when something was granted
	granted int
	waits   bool
}

// ready returns how much may be sent now, at most n; if nothing, wake is called later.
func (f *flow) ready(n int) int {
	b := f.bucket
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.granted == 0 && !f.waits {
		b.fill()
		if len(b.waiting) == 0 && b.tokens > 0 {
			b.grant(f)
		} else {
			f.waits, b.waiting = true, append(b.waiting, f)
			if len(b.waiting) == 1 {
				b.rearm()
			}
		}
	}
	return min(n, f.granted)
}

// spend takes n bytes of what ready returned.
func (f *flow) spend(n int) {
	f.bucket.mu.Lock()
	defer f.bucket.mu.Unlock()
	f.granted -= n
}

// end returns what was not used.
func (f *flow) end() {
	b := f.bucket
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens += float64(f.granted)
	f.granted = 0
	if f.waits {
		f.waits = false
		for i, w := range b.waiting {
			if w == f {
				b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
				break
			}
		}
		if len(b.waiting) == 0 && b.timer != nil {
			b.timer.Stop()
		}
	}
}

// fill adds what has come since; called with mu held.
func (b *bucket) fill() {
	now := time.Now()
	b.tokens = min(burst, b.tokens+now.Sub(b.filled).Seconds()*b.rate)
	b.filled = now
}

// grant gives f its part; called with mu held. A part may be larger than what there is: what
// follows waits the longer.
func (b *bucket) grant(f *flow) {
	part := min(burst, max(1, b.rate))
	f.granted += int(part)
	b.tokens -= part
}

// rearm has serve called when there are tokens; called with mu held.
func (b *bucket) rearm() {
	wait := time.Duration(max(0, 1-b.tokens) / b.rate * float64(time.Second))
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, b.serve)
	} else {
		b.timer.Reset(wait)
	}
}

// serve grants what there is to those who wait.
func (b *bucket) serve() {
	b.mu.Lock()
	b.fill()
	var wake []func()
	for len(b.waiting) > 0 && b.tokens > 0 {
		f := b.waiting[0]
		b.waiting[0] = nil
		b.waiting, f.waits = b.waiting[1:], false
		b.grant(f)
		wake = append(wake, f.wake)
	}
	if len(b.waiting) > 0 {
		b.rearm()
	}
	b.mu.Unlock()
	for _, w := range wake {
		w()
	}
}
