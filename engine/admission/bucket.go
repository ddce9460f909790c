package admission

import (
	"math"
	"time"
)

// burst is the time for which starts that were not made are saved up, because
// timers are not exact.
const burst = 10 * time.Millisecond

// A bucket bounds how many starts there are in a second. The zero value does
// not.
type bucket struct {
	rate  float64 // in a second
	saved float64 // starts that may be made at last
	last  time.Time
}

// next is when the next start may be; in the past, or now, means now.
func (b *bucket) next(now time.Time) time.Time {
	if b.rate <= 0 {
		return now
	}
	if b.last.IsZero() {
		b.last, b.saved = now, 1
	}
	most := max(1, b.rate*burst.Seconds())
	b.saved = min(most, b.saved+now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	if b.saved >= 1-1e-9 {
		return now
	}
	wait := (1 - b.saved) / b.rate * float64(time.Second)
	return now.Add(time.Duration(min(wait, math.MaxInt64/2)) + 1)
}

func (b *bucket) take() {
	if b.rate > 0 {
		b.saved--
	}
}
