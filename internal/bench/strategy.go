package bench

import (
	"shoal"
	"shoal/internal/bench/benchrecord"
)

// DefaultWorkers is the default pool size of benchrecord.Workers.
const DefaultWorkers = 32

// apply returns o with the settings of the strategy. All except
// benchrecord.Auto make one attempt per target, so that connections dropped by
// a server show in the outcomes.
func apply(s benchrecord.Strategy, o shoal.Options, size, workers int) shoal.Options {
	const unbounded = -1
	e := &o.Engine
	e.Attempts = 1
	switch s {
	case benchrecord.Serial:
		e.Fanout, e.Dials, e.Starts = 1, 1, unbounded
	case benchrecord.Workers:
		e.Fanout, e.Dials, e.Starts = workers, workers, unbounded
	case benchrecord.Concurrent:
		e.Fanout, e.Dials, e.Starts = size, size, unbounded
	case benchrecord.Auto:
		e.Fanout, e.Dials, e.Starts = 0, 0, 0
		e.Attempts = 0
	}
	return o
}
