package output

import (
	"errors"

	"shoal/fleet"
)

// Multi returns a sink that passes each result to all sinks, one after the other, and
// closes them in the same order. An error of one does not stop the others; errors are
// joined.
func Multi(sinks ...Sink) Sink { return tee(sinks) }

type tee []Sink

func (t tee) Result(r fleet.Result) error {
	var errs []error
	for _, s := range t {
		errs = append(errs, s.Result(r))
	}
	return errors.Join(errs...)
}

func (t tee) Close() error {
	var errs []error
	for _, s := range t {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
