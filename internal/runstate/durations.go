package runstate

import (
	"math"
	"time"
)

const (
	// perOctave is the number of buckets between a time and its double.
	perOctave = 8
	// octaves are those from 1 ms to 12 days.
	octaves = 30
)

// durations are times in buckets, each 9 % longer than the one before: any number of them in
// little memory, with quantiles that are right to 5 %.
type durations struct {
	count   int
	buckets [perOctave*octaves + 1]int
}

func (d *durations) add(t time.Duration) {
	at := 0
	if ms := t.Seconds() * 1000; ms > 1 {
		at = min(int(math.Round(perOctave*math.Log2(ms))), perOctave*octaves)
	}
	d.buckets[at]++
	d.count++
}

// quantile returns the time that the share q of all times does not exceed; 0 without times.
func (d *durations) quantile(q float64) time.Duration {
	if d.count == 0 {
		return 0
	}
	before := int(q * float64(d.count-1))
	for at, n := range d.buckets {
		if before -= n; before < 0 {
			return time.Duration(math.Exp2(float64(at)/perOctave) * float64(time.Millisecond))
		}
	}
	return 0 // not reached: count is the sum of the buckets
}
