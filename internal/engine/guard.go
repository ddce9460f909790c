package engine

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"

	"shoal/fleet"
)

// guard wraps the functions of Options to recover from their panics. They are
// called on goroutines of the run and of the Dialer, where a panic would end the
// process or leave a target without its result; a [Follower] does the same. Notice is not wrapped: it is called
// by the goroutine that ranges over the results.
//
// Intend and Check return a panic as their error. A panic in another function stops
// the run as a failure limit does, and is the run's error.
func (r *run) guard() {
	o := &r.opts
	if intend := o.Intend; intend != nil {
		o.Intend = func(t fleet.Target, attempt int, address netip.AddrPort) (err error) {
			defer caught("Intend", func(p error) { err = p })
			return intend(t, attempt, address)
		}
	}
	if dialled := o.Dialled; dialled != nil {
		o.Dialled = func(t fleet.Target, attempt int, address netip.AddrPort) {
			defer caught("Dialled", r.fail)
			dialled(t, attempt, address)
		}
	}
	if drained := o.Drained; drained != nil {
		o.Drained = func() (fleet.Reason, error) {
			defer caught("Drained", r.fail)
			return drained()
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
	if verbose := o.Verbose; verbose != nil {
		o.Verbose = func(t fleet.Target, line string) {
			defer caught("Verbose", r.fail)
			verbose(t, line)
		}
	}
	if watch := o.Watch; watch != nil {
		o.Watch = func(v *View, s Step) {
			defer caught("Watch", r.fail)
			watch(v, s)
		}
	}
	if staged := o.Staged; staged != nil {
		o.Staged = func(s Stage) {
			defer caught("Staged", r.fail)
			staged(s)
		}
	}
	if stopping := o.Stopping; stopping != nil {
		o.Stopping = func() {
			defer caught("Stopping", r.fail)
			stopping()
		}
	}
	if released := o.Released; released != nil {
		o.Released = func(rel Release) {
			defer caught("Released", r.fail)
			released(rel)
		}
	}
	if o.Epilogue != nil {
		e := *o.Epilogue
		command, stored := e.Command, e.Stored
		e.Command = func(res *fleet.Result) (line string, ended func([]byte, error)) {
			defer caught("Epilogue.Command", r.fail)
			line, told := command(res)
			if told == nil {
				return line, nil
			}
			return line, func(stdout []byte, err error) {
				defer caught("Epilogue.Command", r.fail)
				told(stdout, err)
			}
		}
		e.Stored = func() (err error) {
			defer caught("Epilogue.Stored", func(p error) { err = p })
			return stored()
		}
		o.Epilogue = &e
	}
	resized := o.Resized
	o.Resized = func(width, flying int) {
		defer caught("Resized", r.fail)
		resized(width, flying)
	}
}

// caught is deferred; it passes a panic in a function of Options to tell.
func caught(name string, tell func(error)) {
	if p := recover(); p != nil {
		tell(fmt.Errorf("panic in Options.%s: %v\n%s", name, p, debug.Stack()))
	}
}

// blame sets the run's own error; the first one counts.
func (r *run) blame(err error) { r.fault.CompareAndSwap(nil, &err) }

// fail sets the run's own error and stops the starting of commands.
func (r *run) fail(err error) {
	r.blame(err)
	r.stopNew(&stopError{err})
}
