package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"shoal/internal/bench/benchrecord"
	"shoal/internal/placeholder"
)

// errLimit is the cause of a point's end by Options.Limit.
var errLimit = errors.New("the point's time limit passed")

// Run measures one point after the other and gives each when it is done. The
// errors are those of the whole bench: options that do not validate, a run that
// could not begin, ctx's end; the loop ends with it, and a point that was being
// measured is not given. A target's failure is counted in its point.
func Run(ctx context.Context, o Options) iter.Seq2[benchrecord.Point, error] {
	return func(yield func(benchrecord.Point, error) bool) {
		if err := o.Validate(); err != nil {
			yield(benchrecord.Point{}, err)
			return
		}
		b := &bencher{Options: o.withDefaults()}
		b.plan = newPlan(b.Options)
		b.expect, _ = o.expectation() // Validate has read it
		b.tellSerial()
		for {
			now, more := b.plan.next()
			if !more {
				return
			}
			if b.Step != nil {
				b.Step(now)
			}
			p, err := b.measure(ctx, now.Step)
			if err != nil {
				yield(benchrecord.Point{}, err)
				return
			}
			b.keep(now.Step, p)
			if !yield(p, nil) {
				return
			}
		}
	}
}

// A bencher is one call of Run while it goes on.
type bencher struct {
	Options
	plan   *plan
	expect *placeholder.Template // nil when outputs are not compared
	begun  bool                  // a point was run
}

// keep lets the plan learn from a point.
func (b *bencher) keep(s Step, p benchrecord.Point) {
	if dropped := b.plan.ran(s, p.Wall, p.Complete); dropped > 0 {
		b.tell("%s at %d targets was cut after %v: %d points of it from that size on are not run", s.Strategy, s.Size, b.Limit, dropped)
	}
}

// tellSerial says which sizes serial leaves to a model.
func (b *bencher) tellSerial() {
	if !slices.Contains(b.Strategies, benchrecord.Serial) {
		return
	}
	var beyond []int
	for _, size := range b.Sizes {
		if b.beyondSerial(benchrecord.Serial, size) {
			beyond = append(beyond, size)
		}
	}
	if len(beyond) > 0 {
		b.tell("serial is not run at %v targets: it is bounded to %d, and larger sizes are projected from what was measured", beyond, b.SerialMax)
	}
}

func (b *bencher) tell(format string, args ...any) {
	if b.Notice != nil {
		b.Notice(fmt.Sprintf(format, args...))
	}
}
