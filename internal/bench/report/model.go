package report

import (
	"math"
	"time"

	"shoal/internal/bench/benchrecord"
)

// The strategies with a model. Any other is treated as concurrent.
const (
	Serial     = string(benchrecord.Serial)
	Workers    = string(benchrecord.Workers)
	Concurrent = string(benchrecord.Concurrent)
	Auto       = string(benchrecord.Auto)
)

// A HostModel is what one host costs on its own: round trips × RTT + rest.
type HostModel struct {
	// RTT is the round-trip time of the simulated fleet, including the mean of
	// the jitter. 0 means unknown; RoundTrips is then 0 too.
	RTT time.Duration
	// RoundTrips is the number per host: the largest that leaves room for the
	// client's CPU time. It is an integer, so one latency is enough to find it
	// as long as the rest is shorter than RTT.
	RoundTrips int
	// Rest is all other time: mostly the server's.
	Rest time.Duration
	// Fitted reports whether the total is the slope of serial. Otherwise it is
	// the median over hosts at the smallest size.
	Fitted bool
}

// Time returns what one host takes on its own; 0 means unknown.
func (h HostModel) Time() time.Duration { return time.Duration(h.RoundTrips)*h.RTT + h.Rest }

func roundTrip(f *benchrecord.FleetSettings) time.Duration {
	if f == nil {
		return 0
	}
	return 2*f.Latency + f.Jitter // the mean of two delays of up to Jitter/2 each
}

func newHostModel(alone, rtt, cpu time.Duration, fitted bool) HostModel {
	h := HostModel{RTT: rtt, Rest: max(alone, 0), Fitted: fitted}
	if rtt > 0 {
		h.RoundTrips = int(max(h.Rest-cpu, 0) / rtt)
		h.Rest -= time.Duration(h.RoundTrips) * rtt
	}
	return h
}

// Bounds are lower limits of a run's time.
type Bounds struct {
	Latency time.Duration // waiting for the hosts
	CPU     time.Duration // the client's CPU time, spread over all cores
}

// Model returns the larger of the bounds.
func (b Bounds) Model() time.Duration { return max(b.Latency, b.CPU) }

// By returns "latency" or "CPU", whichever bound is larger; "" if both are
// unknown.
func (b Bounds) By() string {
	switch {
	case b.Model() == 0:
		return ""
	case b.CPU > b.Latency:
		return "CPU"
	}
	return "latency"
}

// bounds returns the bounds of a strategy at n hosts. Serial waits for one host
// after another and uses one core; a pool of workers needs n/workers rounds;
// concurrent waits as long as for one host.
func bounds(strategy string, n, workers, cores int, host, cpuPerHost time.Duration) Bounds {
	turns := 1
	switch strategy {
	case Serial:
		turns, cores = n, 1
	case Workers:
		turns = (n + max(workers, 1) - 1) / max(workers, 1)
	}
	return Bounds{
		Latency: scale(host, float64(turns)),
		CPU:     scale(cpuPerHost, float64(n)/float64(max(cores, 1))),
	}
}

// scale multiplies d and clamps the product to the range of a Duration.
func scale(d time.Duration, by float64) time.Duration {
	return seconds(d.Seconds() * by)
}

// seconds returns a Duration of s seconds, at most 292 years.
func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/1e9 {
		return math.MaxInt64
	}
	return time.Duration(s * 1e9)
}
