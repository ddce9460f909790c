package report

import (
	"math"
	"slices"
	"time"
)

// A Spread summarises some values. The zero value is that of no values.
type Spread struct {
	N                int
	Median, Min, Max time.Duration
}

func spreadOf(values []time.Duration) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Spread{N: len(sorted), Median: middle(sorted), Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// middle returns the median of sorted values; for an even number, the mean of
// the two in the middle.
func middle(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return sorted[(n-1)/2] + (sorted[n/2]-sorted[(n-1)/2])/2
}

// quantile returns the smallest of the sorted values that at least the share p
// does not exceed, which is always a measured one; 0 without values.
func quantile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(p*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
