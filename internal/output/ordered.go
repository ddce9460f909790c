package output

import (
	"errors"
	"maps"
	"math"
	"slices"

	"shoal/fleet"
)

// Ordered passes results to another sink in the order of the input. It holds a result with
// its output until all earlier ones have arrived: while one slow target runs, all later
// results stay in memory.
type Ordered struct {
	to      Sink
	indexes []int // nil means all from 0 on
	next    int   // the number of results passed on in order
	held    map[int]fleet.Result
}

// NewOrdered returns an Ordered in front of to. indexes are the expected indexes in
// ascending order; nil means all from 0 on. A missing result holds the later ones back
// until Close.
func NewOrdered(to Sink, indexes []int) *Ordered {
	return &Ordered{to: to, indexes: indexes, held: make(map[int]fleet.Result)}
}

// due returns the index to pass on next.
func (o *Ordered) due() int {
	switch {
	case o.indexes == nil:
		return o.next
	case o.next < len(o.indexes):
		return o.indexes[o.next]
	}
	return math.MaxInt
}

// Result passes on all results that are due. Its error may belong to a result that arrived
// earlier.
func (o *Ordered) Result(r fleet.Result) error {
	if due := o.due(); r.Target.Index != due {
		if _, twice := o.held[r.Target.Index]; r.Target.Index < due || twice {
			// Late or repeated: pass it on out of order rather than lose it.
			return o.to.Result(r)
		}
		o.held[r.Target.Index] = r
		return nil
	}
	errs := []error{o.to.Result(r)}
	for o.next++; ; o.next++ {
		due := o.due()
		held, ok := o.held[due]
		if !ok {
			return errors.Join(errs...)
		}
		delete(o.held, due)
		errs = append(errs, o.to.Result(held))
	}
}

// Close passes on the held results in order and closes the other sink.
func (o *Ordered) Close() error {
	var errs []error
	for _, index := range slices.Sorted(maps.Keys(o.held)) {
		errs = append(errs, o.to.Result(o.held[index]))
	}
	clear(o.held)
	return errors.Join(append(errs, o.to.Close())...)
}
