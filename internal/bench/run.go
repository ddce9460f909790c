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

// errLimit is the cancellation cause of a point that reached Options.Limit.
var errLimit = errors.New("the point's time limit passed")

// Run measures one point after the other and yields each when it is complete.
// Its errors are those of the whole bench: invalid options, a run that could
// not start, or the end of ctx. An error ends the loop, and the point in
// progress is dropped. A target's failure is counted in its point.
func Run(ctx context.Context, o Options) iter.Seq2[benchrecord.Point, error] {
	return func(yield func(benchrecord.Point, error) bool) {
		if err := o.Validate(); err != nil {
			yield(benchrecord.Point{}, err)
			return
		}
		b := &bencher{Options: o.withDefaults()}
		b.plan = newPlan(b.Options)
		b.expect, _ = o.expectation() // Validate has parsed it
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

// A bencher is the state of one call of Run.
type bencher struct {
	Options
	plan   *plan
	expect *placeholder.Template // nil when outputs are not compared
	begun  bool                  // a point has been run
}

// keep passes a point on to the plan.
func (b *bencher) keep(s Step, p benchrecord.Point) {
	if dropped := b.plan.ran(s, p.Wall, p.Complete); dropped > 0 {
		b.tell("%s at %d targets was cut after %v: %d points of it from that size on are not run", s.Strategy, s.Size, b.Limit, dropped)
	}
}

// tellSerial notes the sizes that are too large for serial.
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
