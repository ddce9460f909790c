package report

import (
	"fmt"
	"time"

	"shoal/internal/bench/benchrecord"
)

// A Report has all results of the analysis.
type Report struct {
	Files      []File // the records; the settings of the first stand for all
	Strategies []Strategy
	Sizes      []int // all measured sizes, ascending
	Projected  []int // sizes with projections, ascending
	Host       HostModel
	Notes      []string // warnings for the reader
}

// Header returns the first file's header.
func (r *Report) Header() benchrecord.Header { return r.Files[0].Header }

// A Strategy has the results of one strategy.
type Strategy struct {
	Name        string
	Sizes       []Size       // ascending
	Trend       *Trend       // through all right runs; nil with a single size
	Projections []Projection // for the sizes in Report.Projected that the trend allows
	Phases      []Phase      // at the largest size
	Samples     []benchrecord.Sample
	SamplesOf   Sampled // the run that Samples belong to
}

// Sampled names the run whose samples are kept: the one with the median time at
// the largest size that has samples.
type Sampled struct {
	Hosts int
	Wall  time.Duration
}

// A Size has the results of one strategy at one size.
type Size struct {
	Hosts    int
	Runs     int    // all runs, including cut ones
	Cut      int    // runs that reached the time limit
	Wall     Spread // of completed runs
	Right    bool   // every output of every run was correct, and no run was cut
	Correct  int    // correct outputs in the worst run
	Outcomes map[string]int
	Reasons  map[string]int

	CPUPerHost time.Duration // user and system time of the client; median of the runs
	CoresUsed  float64       // the client's CPU time ÷ wall time; median of the runs
	PeakRSS    int64         // bytes; maximum of the runs
	Cumulative bool          // PeakRSS covers the process so far, not only the run
	Files      int           // maximum of open files in any sample; 0: not sampled
	SpeedUp    float64       // over serial at this size; 0: serial was not measured
	Bounds     Bounds
}

// Measured reports whether at least one run was completed.
func (s Size) Measured() bool { return s.Wall.N > 0 }

// A Projection is the trend of the smaller sizes, evaluated at a size.
type Projection struct {
	Hosts     int
	Wall      time.Duration
	Low, High time.Duration // the confidence band; both 0: too few runs
	From, To  int           // smallest and largest size that it is based on
	Measured  time.Duration // the measured median; 0: not measured
	SpeedUp   float64       // over serial's projection; 0: unknown
	Bounds    Bounds
}

// Best returns the measured time if there is one, else the projection.
func (p Projection) Best() time.Duration {
	if p.Measured > 0 {
		return p.Measured
	}
	return p.Wall
}

// RunsADay returns how often something that takes d fits into 86,400 s.
func RunsADay(d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return 86400 / d.Seconds()
}

// Strategy returns the strategy with that name.
func (r *Report) Strategy(name string) (Strategy, bool) {
	for _, s := range r.Strategies {
		if s.Name == name {
			return s, true
		}
	}
	return Strategy{}, false
}

// At returns the results at a size.
func (s Strategy) At(hosts int) (Size, bool) {
	for _, z := range s.Sizes {
		if z.Hosts == hosts {
			return z, true
		}
	}
	return Size{}, false
}

// Projection returns the projection to a size.
func (s Strategy) Projection(hosts int) (Projection, bool) {
	for _, p := range s.Projections {
		if p.Hosts == hosts {
			return p, true
		}
	}
	return Projection{}, false
}

// text describes what one host costs.
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
