package bench

import (
	"time"

	"shoal/internal/bench/benchrecord"
	"shoal/internal/connect"
)

// A Step is one point to run.
type Step struct {
	Strategy benchrecord.Strategy
	Size     int
	Repeat   int // from 1
	Warmup   bool
}

// A Progress is the current step and an estimate.
type Progress struct {
	Step
	// Number counts from 1 to Of. Skipped steps are not counted.
	Number, Of int
	// Left estimates the time of this step and all later ones. Known is false
	// if some cannot be estimated yet; Left is then the sum of the others.
	Left  time.Duration
	Known bool
}

// Steps returns what Run runs if no point is cut: warm-ups, then the repeats.
// At each size the strategies follow one another, and each repeat starts with
// the next one.
func (o Options) Steps() []Step {
	o = o.withDefaults()
	var steps []Step
	add := func(size, repeat int, warmup bool) {
		for i := range o.Strategies {
			s := o.Strategies[(i+repeat-1)%len(o.Strategies)]
			if !o.beyondSerial(s, size) {
				steps = append(steps, Step{s, size, repeat, warmup})
			}
		}
	}
	for i := range o.Warmup {
		add(o.Sizes[0], i+1, true)
	}
	for i := range o.Repeats {
		for _, size := range o.Sizes {
			add(size, i+1, false)
		}
	}
	return steps
}

func (o Options) beyondSerial(s benchrecord.Strategy, size int) bool {
	return s == benchrecord.Serial && o.SerialMax > 0 && size > o.SerialMax
}

// A plan is the remaining steps and the times of the steps that were run.
type plan struct {
	limit time.Duration // of one point; 0 means none
	left  []Step
	done  int
	took  map[benchrecord.Strategy][]sized
}

type sized struct {
	size int
	wall time.Duration
}

func newPlan(o Options) *plan {
	return &plan{limit: o.Limit, left: o.Steps(), took: make(map[benchrecord.Strategy][]sized)}
}

// next returns the current step; ok is false at the end.
func (p *plan) next() (_ Progress, ok bool) {
	if len(p.left) == 0 {
		return Progress{}, false
	}
	now := Progress{Step: p.left[0], Number: p.done + 1, Of: p.done + len(p.left)}
	now.Left, now.Known = p.estimate()
	p.left, p.done = p.left[1:], p.done+1
	return now, true
}

// ran records a step's time. If the step was cut, it drops the steps that would
// be cut too and returns their number.
func (p *plan) ran(s Step, wall time.Duration, complete bool) (dropped int) {
	if complete {
		p.took[s.Strategy] = append(p.took[s.Strategy], sized{s.Size, wall})
		return 0
	}
	kept := p.left[:0:0]
	for _, later := range p.left {
		if later.Strategy != s.Strategy || later.Size < s.Size {
			kept = append(kept, later)
		}
	}
	dropped = len(p.left) - len(kept)
	p.left = kept
	return dropped
}

// estimate returns the total time of the remaining steps.
func (p *plan) estimate() (sum time.Duration, known bool) {
	known = true
	for _, s := range p.left {
		d, ok := p.guess(s)
		sum, known = sum+d, known && ok
	}
	return sum, known
}

// guess returns the mean of earlier runs of the same step, or scales the time
// of the nearest smaller size. That overestimates strategies faster than
// serial, which is the better error.
func (p *plan) guess(s Step) (time.Duration, bool) {
	var sum time.Duration
	var n int
	var nearest sized
	for _, ran := range p.took[s.Strategy] {
		if ran.size == s.Size {
			sum, n = sum+ran.wall, n+1
		}
		if nearest.size == 0 || ran.size > nearest.size && ran.size <= s.Size {
			nearest = ran
		}
	}
	var d time.Duration
	switch {
	case n > 0:
		d = sum / time.Duration(n)
	case nearest.size > 0:
		d = time.Duration(float64(nearest.wall) * float64(s.Size) / float64(nearest.size))
	default:
		return 0, false
	}
	if p.limit > 0 {
		d = min(d, p.limit)
	}
	return d, true
}

// DefaultWorkers is the default pool size of benchrecord.Workers.
const DefaultWorkers = 32

// apply returns o with the settings of the strategy. All except
// benchrecord.Auto make one attempt per target, so that connections dropped by
// a server show in the outcomes.
func apply(s benchrecord.Strategy, o connect.Options, size, workers int) connect.Options {
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
	case benchrecord.Auto, benchrecord.Held:
		e.Fanout, e.Dials, e.Starts = 0, 0, 0
		e.Attempts = 0
	}
	return o
}
