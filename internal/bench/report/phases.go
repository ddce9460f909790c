package report

import (
	"math"
	"slices"
	"time"

	"shoal/fleet"
)

// A Phase is the duration of one phase over the hosts that completed it.
type Phase struct {
	Phase              fleet.Phase
	Hosts              int
	P50, P90, P99, Max time.Duration
	// Bins is the histogram: ten bins per decade, ascending, without empty
	// ones.
	Bins []Bin
}

// A Bin counts the hosts with From ≤ duration < To.
type Bin struct {
	From, To time.Duration
	Hosts    int
}

// binsPerDecade is the resolution of histograms: each bin is a quarter wider
// than the one before.
const binsPerDecade = 10

// binsOf makes the histogram of sorted durations, all above 0.
func binsOf(values []time.Duration) []Bin {
	edge := func(k int) time.Duration {
		return time.Duration(math.Ceil(math.Pow(10, float64(k)/binsPerDecade)))
	}
	var bins []Bin
	k := 0
	for _, v := range values {
		for v >= edge(k+1) {
			k++
		}
		if n := len(bins); n == 0 || bins[n-1].From != edge(k) {
			bins = append(bins, Bin{From: edge(k), To: edge(k + 1)})
		}
		bins[len(bins)-1].Hosts++
	}
	return bins
}

// phases summarises the hosts of runs of one strategy. Phases that no host
// reached are left out.
func phases(runs []run) []Phase {
	var all []Phase
	var values []time.Duration
	for p := fleet.PhaseResolve; p < fleet.NumPhases; p++ {
		values = values[:0]
		for _, r := range runs {
			for _, h := range r.Hosts {
				if took := h.Phases[p]; took > 0 {
					values = append(values, took)
				}
			}
		}
		if len(values) == 0 {
			continue
		}
		slices.Sort(values)
		all = append(all, Phase{
			Phase: p, Hosts: len(values),
			P50: quantile(values, 0.50), P90: quantile(values, 0.90),
			P99: quantile(values, 0.99), Max: values[len(values)-1],
			Bins: binsOf(values),
		})
	}
	return all
}
