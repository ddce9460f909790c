package report

import (
	"fmt"
	"time"

	"shoal/internal/bench/benchrecord"
)

// A Report is everything that the records tell.
type Report struct {
	Files      []File // what was read; the settings of the first stand for all
	Strategies []Strategy
	Sizes      []int // all that were measured, ascending
	Projected  []int // the sizes that are projected to, ascending
	Host       HostModel
	Notes      []string // what a reader has to know, for people
}

// Header is the first file's.
func (r *Report) Header() benchrecord.Header { return r.Files[0].Header }

// A Strategy is what was measured of one.
type Strategy struct {
	Name        string
	Sizes       []Size       // ascending
	Trend       *Trend       // through all runs that were right; nil with one size only
	Projections []Projection // as Report.Projected, as far as there is a trend for them
	Phases      []Phase      // at the largest size
	Samples     []benchrecord.Sample
	SamplesOf   Sampled // which run Samples are of
}

// Sampled names the run whose samples are kept: at the largest size that has
// samples, the run with the median time.
type Sampled struct {
	Hosts int
	Wall  time.Duration
}

// A Size is what was measured of one strategy at one size.
type Size struct {
	Hosts    int
	Runs     int    // all, those that were cut too
	Cut      int    // runs that the time limit cut
	Wall     Spread // of the runs that came to their end
	Right    bool   // every output of every run was right, and no run was cut
	Correct  int    // right outputs in the worst run
	Outcomes map[string]int
	Reasons  map[string]int

	CPUPerHost time.Duration // of the client, user and system; median of the runs
	CoresUsed  float64       // the client's CPU time ÷ wall; median of the runs
	PeakRSS    int64         // bytes, the largest of the runs
	Cumulative bool          // PeakRSS is that of the process so far, not of the run
	Files      int           // open at once, the most in any sample; 0: not sampled
	SpeedUp    float64       // over serial at this size; 0: serial was not measured here
	Bounds     Bounds
}

// Measured says that at least one run came to its end.
func (s Size) Measured() bool { return s.Wall.N > 0 }

// A Projection is a strategy's trend at a size, from the sizes below it.
type Projection struct {
	Hosts     int
	Wall      time.Duration
	Low, High time.Duration // the band; both 0: too few runs for one
	From, To  int           // the sizes it is projected from
	Measured  time.Duration // the median measured at this size; 0: it was not
	SpeedUp   float64       // over serial's projection; 0: there is none
	Bounds    Bounds
}

// Best is what is known of the time at this size: measured if it was.
func (p Projection) Best() time.Duration {
	if p.Measured > 0 {
		return p.Measured
	}
	return p.Wall
}

// RunsADay is how often something that takes d can be done in 86,400 s.
func RunsADay(d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return 86400 / d.Seconds()
}

// Strategy finds one by its name.
func (r *Report) Strategy(name string) (Strategy, bool) {
	for _, s := range r.Strategies {
		if s.Name == name {
			return s, true
		}
	}
	return Strategy{}, false
}

// At finds a size.
func (s Strategy) At(hosts int) (Size, bool) {
	for _, z := range s.Sizes {
		if z.Hosts == hosts {
			return z, true
		}
	}
	return Size{}, false
}

// Projection finds the projection to a size.
func (s Strategy) Projection(hosts int) (Projection, bool) {
	for _, p := range s.Projections {
		if p.Hosts == hosts {
			return p, true
		}
	}
	return Projection{}, false
}

// text says in words what one host costs.
func (h HostModel) text() string {
	switch {
	case h.Time() == 0:
		return "one host's time is not known: serial was not measured at two sizes, and there are no phases"
	case h.RTT == 0 && h.Fitted:
		return fmt.Sprintf("one host takes %s (serial's slope); the round trip is not known, so it is not taken apart", Time(h.Time()))
	case h.RTT == 0:
		return fmt.Sprintf("one host takes %s (median at the smallest size); the round trip is not known", Time(h.Time()))
	}
	from := "serial's slope"
	if !h.Fitted {
		from = "median at the smallest size"
	}
	return fmt.Sprintf("one host takes %s (%s) = %d round trips × %s + %s",
		Time(h.Time()), from, h.RoundTrips, Time(h.RTT), Time(h.Rest))
}
