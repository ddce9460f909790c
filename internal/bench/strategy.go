package bench

import (
	"shoal"
	"shoal/internal/bench/benchrecord"
)

// DefaultWorkers is the width of the pool of benchrecord.Workers.
const DefaultWorkers = 32

// apply gives o as the strategy has it for so many targets. All but benchrecord.Auto
// make one attempt at each, so that what a server drops is seen.
func apply(s benchrecord.Strategy, o shoal.Options, size, workers int) shoal.Options {
	const unbounded = -1
	o.Engine.Attempts = 1
	switch s {
	case benchrecord.Serial:
		o.Fanout, o.Dials, o.Starts = 1, 1, unbounded
	case benchrecord.Workers:
		o.Fanout, o.Dials, o.Starts = workers, workers, unbounded
	case benchrecord.Concurrent:
		o.Fanout, o.Dials, o.Starts = size, size, unbounded
	case benchrecord.Auto:
		o.Fanout, o.Dials, o.Starts = 0, 0, 0
		o.Engine.Attempts = 0
	}
	return o
}
