package admission

import (
	"slices"
	"time"
)

const (
	// shortestPatience is below what a busy machine may take for nothing.
	shortestPatience = 100 * time.Millisecond
	// firstPatience holds until enough is known.
	firstPatience = 750 * time.Millisecond
	samples       = 63
	enoughSamples = 16
)

// typical follows how long connects take that succeed: the median of the last
// of them, looked at anew when as many have come, and once when there are enough.
type typical struct {
	ring   [samples]time.Duration
	n      int // ever
	median time.Duration
}

func (t *typical) add(took time.Duration) {
	t.ring[t.n%samples] = took
	t.n++
	if t.n == enoughSamples || t.n%samples == 0 {
		known := t.ring[:min(t.n, samples)]
		slices.Sort(known) // in place: which of them came first does not matter
		t.median = known[len(known)/2]
	}
}

// patience is how long a connect may take before it is slow.
func (t *typical) patience() time.Duration {
	if t.n < enoughSamples {
		return firstPatience
	}
	return max(2*t.median, shortestPatience)
}
