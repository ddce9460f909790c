package report

import (
	"slices"
	"time"

	"shoal/fleet"
)

// A Phase is how long one phase took over the hosts that came through it.
type Phase struct {
	Phase              fleet.Phase
	Hosts              int
	P50, P90, P99, Max time.Duration
}

// phases sums up the hosts of some runs of one strategy. A phase that no host
// reached is left out.
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
		})
	}
	return all
}
