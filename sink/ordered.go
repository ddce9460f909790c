package sink

import (
	"errors"
	"maps"
	"slices"

	"shoal/fleet"
)

// Ordered hands results to another sink in the order of the input. It holds a
// result, with its output, until all before it have come: while one slow target
// runs, everything behind it is in memory.
type Ordered struct {
	to   Sink
	next int // the index that is to be handed on
	held map[int]fleet.Result
}

// NewOrdered puts the order in front of to. The indexes of the results must
// count from 0; one that never comes holds those behind it back until Close.
func NewOrdered(to Sink) *Ordered {
	return &Ordered{to: to, held: make(map[int]fleet.Result)}
}

// Result hands on what can be. Its error may be that of an earlier target.
func (o *Ordered) Result(r fleet.Result) error {
	if r.Target.Index != o.next {
		if _, twice := o.held[r.Target.Index]; r.Target.Index < o.next || twice {
			// Its place has gone by: better late than not at all.
			return o.to.Result(r)
		}
		o.held[r.Target.Index] = r
		return nil
	}
	errs := []error{o.to.Result(r)}
	for o.next++; ; o.next++ {
		held, ok := o.held[o.next]
		if !ok {
			return errors.Join(errs...)
		}
		delete(o.held, o.next)
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
