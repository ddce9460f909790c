package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"shoal/internal/ui"
)

// none is the text of a cell without a value.
const none = "–"

// Count formats a number with commas between thousands.
func Count(n int) string { return ui.Count(int64(n)) }

// Time formats a duration with about three digits: 64 ns, 850 µs, 12.3 ms, 2.51
// s, 1 min 05 s, 2 h 03 min.
func Time(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	case d < 999500*time.Nanosecond:
		return digits(float64(d)/1e3) + " µs"
	case d < 999500*time.Microsecond:
		return digits(float64(d)/1e6) + " ms"
	case d < 59950*time.Millisecond:
		return digits(d.Seconds()) + " s"
	}
	return ui.Duration(d)
}

// digits formats a value below 1,000 with three digits.
func digits(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Times formats a ratio: 2.8 ×, 131 ×.
func Times(v float64) string {
	switch {
	case v <= 0 || math.IsInf(v, 0) || math.IsNaN(v):
		return none
	case v < 9.95:
		return fmt.Sprintf("%.1f ×", v)
	}
	return ui.Count(int64(math.Round(v))) + " ×"
}

// Often formats a number of runs: 0.86, 36, 205.
func Often(v float64) string {
	switch {
	case v <= 0:
		return none
	case v < 9.95:
		return fmt.Sprintf("%.2g", v)
	}
	return ui.Count(int64(v))
}

func orNone(d time.Duration) string {
	if d <= 0 {
		return none
	}
	return Time(d)
}

func sortedKeys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }

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
