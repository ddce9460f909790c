package report

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

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

// Confidence is the probability of every confidence band.
const Confidence = 0.95

// A Trend is the least-squares line wall = A + B·hosts, in seconds.
type Trend struct {
	A, B     float64
	R2       float64 // NaN with fewer than three runs, or when all took the same time
	Runs     int
	From, To int // the smallest and the largest size of the runs

	meanX, sxx float64
	spread     float64 // Student's t × the residual standard error; NaN without a band
}

// Fit fits a line through runs, given their numbers of hosts and times. ok is
// false if all sizes are the same.
func Fit(hosts []int, seconds []float64) (t Trend, ok bool) {
	x := make([]float64, len(hosts))
	for i, n := range hosts {
		x[i] = float64(n)
		if i == 0 {
			t.From, t.To = n, n
		}
		t.From, t.To = min(t.From, n), max(t.To, n)
	}
	if t.From == t.To {
		return Trend{}, false
	}
	t.Runs = len(x)
	t.A, t.B = stat.LinearRegression(x, seconds, nil, false)
	t.R2, t.spread = math.NaN(), math.NaN()
	t.meanX = stat.Mean(x, nil)
	for _, v := range x {
		t.sxx += (v - t.meanX) * (v - t.meanX)
	}
	if free := float64(t.Runs - 2); free > 0 {
		t.R2 = stat.RSquared(x, seconds, nil, t.A, t.B)
		rss := 0.0
		for i, v := range x {
			r := seconds[i] - t.At(v)
			rss += r * r
		}
		student := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: free}
		t.spread = student.Quantile((1+Confidence)/2) * math.Sqrt(rss/free)
	}
	return t, true
}

// At returns the trend's time for n hosts, in seconds.
func (t Trend) At(n float64) float64 { return t.A + t.B*n }

// Band returns the confidence band of the mean time at n hosts, in seconds: it
// holds the true line with probability Confidence. Both values are NaN with
// only two runs.
func (t Trend) Band(n float64) (low, high float64) {
	half := t.spread * math.Sqrt(1/float64(t.Runs)+(n-t.meanX)*(n-t.meanX)/t.sxx)
	return t.At(n) - half, t.At(n) + half
}

// HasBand reports whether there are enough runs for Band and R2.
func (t Trend) HasBand() bool { return !math.IsNaN(t.spread) }
