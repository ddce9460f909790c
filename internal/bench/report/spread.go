package report

import (
	"math"
	"slices"
	"time"
)

// A Spread sums up some values. The zero value has none.
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

// middle is the median of sorted values: of an even number, halfway between the
// two in the middle.
func middle(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return sorted[(n-1)/2] + (sorted[n/2]-sorted[(n-1)/2])/2
}

// quantile is the smallest value that at least the share p of the sorted values
// do not exceed; 0 without values. It is always one that was measured.
func quantile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(p*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
