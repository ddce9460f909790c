package engine

import (
	"context"
	"fmt"
	"runtime/debug"

	"shoal/fleet"
)

// guard keeps panics of the caller's functions to themselves. They are called on
// goroutines of the run and of the Dialer, where one would end the process or leave
// a target without its result. Notice is not among them: it is called by whoever
// ranges over the results, and so its panic is theirs.
//
// Intend and Check return a panic as their error. One of the others stops the run
// as a brake does, and is the run's error.
func (r *run) guard() {
	o := &r.opts
	if intend := o.Intend; intend != nil {
		o.Intend = func(t fleet.Target, attempt int) (err error) {
			defer caught("Intend", func(p error) { err = p })
			return intend(t, attempt)
		}
	}
	if check := o.Check; check != nil {
		o.Check = func(ctx context.Context, stage int) (err error) {
			defer caught("Check", func(p error) { err = p })
			return check(ctx, stage)
		}
	}
	if follow := o.Follow; follow != nil {
		o.Follow = func(t *Output) {
			defer caught("Follow", r.fail)
			follow(t)
		}
	}
	if released := o.Released; released != nil {
		o.Released = func(rel Release) {
			defer caught("Released", r.fail)
			released(rel)
		}
	}
	resized := o.Resized
	o.Resized = func(width, flying int) {
		defer caught("Resized", r.fail)
		resized(width, flying)
	}
}

// caught is deferred: it tells of a panic in one of the functions of Options.
func caught(name string, tell func(error)) {
	if p := recover(); p != nil {
		tell(fmt.Errorf("panic in Options.%s: %v\n%s", name, p, debug.Stack()))
	}
}

// blame gives the run its own error; the first one counts.
func (r *run) blame(err error) { r.fault.CompareAndSwap(nil, &err) }

// fail does the same, and lets nothing else start.
func (r *run) fail(err error) {
	r.blame(err)
	r.stopNew(&stopError{err})
}
