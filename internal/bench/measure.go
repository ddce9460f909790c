package bench

import (
	"context"
	"fmt"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
)

// measure runs one step.
func (b *bencher) measure(ctx context.Context, s Step) (benchrecord.Point, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if b.Limit > 0 {
		limited, cancel = context.WithTimeoutCause(ctx, b.Limit, errLimit)
	}
	defer cancel()
	opts := apply(s.Strategy, b.Connect, s.Size, b.Workers)
	if b.begun {
		opts.Engine.Notice = nil // it was printed before
	}
	b.begun = true
	// Allocate what is kept of each target, 120 bytes, before memory is
	// measured, so that a large size is not charged for growing the slice.
	t := tally{reasons: make(map[fleet.Reason]int), hosts: make([]benchrecord.HostTimes, 0, s.Size)}
	m := startMeter()
	err := b.run(limited, opts, s.Size, &t)
	cut := limited.Err() != nil
	usage := m.stop()
	switch {
	case ctx.Err() != nil:
		return benchrecord.Point{}, context.Cause(ctx)
	case err != nil:
		return benchrecord.Point{}, fmt.Errorf("measuring %s at %d targets: %w", s.Strategy, s.Size, err)
	}
	p := benchrecord.Point{
		Strategy: string(s.Strategy), Size: s.Size, Repeat: s.Repeat, Warmup: s.Warmup,
		Complete: !cut, Correct: t.correct,
	}
	usage.fill(&p)
	t.fill(&p)
	return p, nil
}

// run is the measured part.
func (b *bencher) run(ctx context.Context, opts shoal.Options, size int, t *tally) error {
	for res, err := range shoal.Run(ctx, opts, b.Targets(size), b.Command) {
		if err != nil {
			return err
		}
		if correct(b.expect, &res) {
			t.correct++
		}
		t.add(&res)
		if b.Result != nil {
			b.Result(res)
		}
	}
	return nil
}

// A tally counts results as cheaply as possible: its cost is part of the
// measurement.
type tally struct {
	outcomes [fleet.NumOutcomes]int
	reasons  map[fleet.Reason]int
	correct  int
	hosts    []benchrecord.HostTimes
}

func (t *tally) add(r *fleet.Result) {
	t.outcomes[r.Outcome]++
	if r.Reason != fleet.ReasonNone {
		t.reasons[r.Reason]++
	}
	t.hosts = append(t.hosts, benchrecord.HostTimes{Index: r.Target.Index, Outcome: r.Outcome.String(), Phases: benchrecord.Phases(r.Took)})
}

// fill writes the counts into p.
func (t *tally) fill(p *benchrecord.Point) {
	p.Hosts = t.hosts
	p.Outcomes = make(map[string]int)
	for o, n := range t.outcomes {
		if n > 0 {
			p.Outcomes[fleet.Outcome(o).String()] = n // o < NumOutcomes
		}
	}
	for reason, n := range t.reasons {
		if p.Reasons == nil {
			p.Reasons = make(map[string]int)
		}
		p.Reasons[string(reason)] = n
	}
}

// A usage is the cost of one point.
type usage struct {
	started        time.Time
	wall           time.Duration
	user, system   time.Duration
	peak           int64
	peakCumulative bool
	samples        []benchrecord.Sample
}

func (u usage) fill(p *benchrecord.Point) {
	p.Started, p.Wall = u.started, u.wall
	p.CPUUser, p.CPUSystem = u.user, u.system
	p.PeakRSS, p.PeakCumulative = u.peak, u.peakCumulative
	p.Samples = u.samples
}
