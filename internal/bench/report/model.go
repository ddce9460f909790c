package report

import (
	"math"
	"time"

	"shoal/internal/bench/benchrecord"
)

// The strategies that the models know. Another one is taken as concurrent.
const (
	Serial     = string(benchrecord.Serial)
	Workers    = string(benchrecord.Workers)
	Concurrent = string(benchrecord.Concurrent)
	Auto       = string(benchrecord.Auto)
)

// A HostModel says what one host alone costs: round trips × RTT + rest.
type HostModel struct {
	// RTT is the round trip that the simulated fleet was set to, jitter's mean
	// included. 0 means that it is not known; then RoundTrips is 0 too.
	RTT time.Duration
	// RoundTrips is how many of them a host takes: the most that leave room for
	// the CPU time that the client used for it. They come in whole numbers, so
	// that one latency is enough to find them while the rest is shorter than RTT.
	RoundTrips int
	// Rest is all that is not the network's: server time above all.
	Rest time.Duration
	// Fitted says that the whole is the slope of serial; otherwise it is the
	// median over hosts at the smallest size.
	Fitted bool
}

// Time is what one host takes alone; 0 means that it is not known.
func (h HostModel) Time() time.Duration { return time.Duration(h.RoundTrips)*h.RTT + h.Rest }

func roundTrip(f *benchrecord.FleetSettings) time.Duration {
	if f == nil {
		return 0
	}
	return 2*f.Latency + f.Jitter // the mean of two times up to Jitter/2 each
}

func newHostModel(alone, rtt, cpu time.Duration, fitted bool) HostModel {
	h := HostModel{RTT: rtt, Rest: max(alone, 0), Fitted: fitted}
	if rtt > 0 {
		h.RoundTrips = int(max(h.Rest-cpu, 0) / rtt)
		h.Rest -= time.Duration(h.RoundTrips) * rtt
	}
	return h
}

// Bounds are what a run cannot beat, whatever else it does.
type Bounds struct {
	Latency time.Duration // what waiting for the hosts takes
	CPU     time.Duration // what the client's CPU time takes on all its cores
}

// Model is the time that the bounds allow: the larger one.
func (b Bounds) Model() time.Duration { return max(b.Latency, b.CPU) }

// By is "latency" or "CPU", whichever bounds; "" when neither is known.
func (b Bounds) By() string {
	switch {
	case b.Model() == 0:
		return ""
	case b.CPU > b.Latency:
		return "CPU"
	}
	return "latency"
}

// bounds models a strategy at n hosts. Serial waits for each host in its turn
// and works for one at a time; a pool of workers takes as many turns as it has
// to; everything at once waits as long as for one host.
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

// scale multiplies and stays within what a Duration can hold.
func scale(d time.Duration, by float64) time.Duration {
	return seconds(d.Seconds() * by)
}

// seconds is a Duration of so many seconds, of at most 292 years.
func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/1e9 {
		return math.MaxInt64
	}
	return time.Duration(s * 1e9)
}
