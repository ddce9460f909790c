package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/connect"
	"shoal/internal/placeholder"
	"shoal/internal/ssh/hold"
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
	if s.Strategy == benchrecord.Held {
		h, err := b.connected(limited, &opts, s.Size)
		if err != nil {
			return benchrecord.Point{}, fmt.Errorf("connecting to %d targets: %w", s.Size, err)
		}
		defer func() { _ = h.Close() }()
	}
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

// connected runs the command once on each target, and has opts hold the connections.
func (b *bencher) connected(ctx context.Context, opts *connect.Options, size int) (*connect.Hold, error) {
	h, err := connect.NewHold(hold.Options{})
	if err != nil {
		return nil, err
	}
	opts.Hold = h
	for _, err := range connect.Run(ctx, *opts, b.Targets(size), b.Command) {
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

// run is the measured part.
func (b *bencher) run(ctx context.Context, opts connect.Options, size int, t *tally) error {
	for res, err := range connect.Run(ctx, opts, b.Targets(size), b.Command) {
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

// plainEcho matches commands whose output is the same in every shell: echo and
// words without characters that a shell, echo or a placeholder's filter could
// change.
var plainEcho = regexp.MustCompile(`^echo(?: (?:[A-Za-z0-9_./:@%+,]|\{(?:host|user|port|index)\})(?:[A-Za-z0-9_./:@%+,-]|\{(?:host|user|port|index)\})*)+$`)

// Expected returns the output of a command in the format of Options.Expect if
// it is certain, which it is for echo and plain words. Otherwise it returns "".
func Expected(text string) string {
	if !plainEcho.MatchString(text) {
		return ""
	}
	return strings.TrimPrefix(text, "echo ") + "\n"
}

// expectation parses Expect; it returns nil if outputs are not compared.
func (o Options) expectation() (*placeholder.Template, error) {
	if o.Expect == "" {
		return nil, nil
	}
	t, err := placeholder.Parse(o.Expect, placeholder.Everywhere)
	if err != nil {
		return nil, fmt.Errorf("reading the expected output: %w", err)
	}
	return t, nil
}

// correct reports whether r is as expected. If expect is nil, any OK is.
func correct(expect *placeholder.Template, r *fleet.Result) bool {
	if r.Outcome != fleet.OutcomeOK {
		return false
	}
	if expect == nil {
		return true
	}
	return r.Stderr.Size == 0 && !r.Stdout.Truncated() &&
		bytes.Equal(r.Stdout.Bytes, []byte(expect.Expand(r.Target)))
}
