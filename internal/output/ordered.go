package output

import (
	"errors"
	"maps"
	"math"
	"slices"

	"shoal/fleet"
)

// Ordered hands results to another sink in the order of the input. It holds a
// result, with its output, until all before it have come: while one slow target
// runs, everything behind it is in memory.
type Ordered struct {
	to      Sink
	indexes []int // nil: all from 0 on
	next    int   // how many were handed on in order
	held    map[int]fleet.Result
}

// NewOrdered puts the order in front of to. indexes are those of the results
// that come, in ascending order; nil means that they count from 0. One that never
// comes holds those behind it back until Close.
func NewOrdered(to Sink, indexes []int) *Ordered {
	return &Ordered{to: to, indexes: indexes, held: make(map[int]fleet.Result)}
}

// due is the index that is to be handed on next.
func (o *Ordered) due() int {
	switch {
	case o.indexes == nil:
		return o.next
	case o.next < len(o.indexes):
		return o.indexes[o.next]
	}
	return math.MaxInt
}

// Result hands on what can be. Its error may be that of an earlier target.
func (o *Ordered) Result(r fleet.Result) error {
	if due := o.due(); r.Target.Index != due {
		if _, twice := o.held[r.Target.Index]; r.Target.Index < due || twice {
			// Its place has gone by: better late than not at all.
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

// Close hands on what is held, in order, and closes the other sink.
func (o *Ordered) Close() error {
	var errs []error
	for _, index := range slices.Sorted(maps.Keys(o.held)) {
		errs = append(errs, o.to.Result(o.held[index]))
	}
	clear(o.held)
	return errors.Join(append(errs, o.to.Close())...)
}
