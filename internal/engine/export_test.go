package engine

import (
	"context"
	"fmt"
	"iter"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// RunAndCount is Run, and reports afterwards which shared resources were not
// released; "" means none.
func RunAndCount(ctx context.Context, opts Options, targets iter.Seq[ssh.Target], kept *string) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		r := newRun(ctx, opts.withDefaults())
		if r.results(targets, yield) {
			if err := r.fault.Load(); err != nil {
				yield(fleet.Result{}, *err)
			}
		}
		*kept = r.kept()
	}
}

// Direct returns the targets without endpoints.
func Direct(targets iter.Seq[fleet.Target]) iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		for t := range targets {
			if !yield(ssh.Target{Target: t}) {
				return
			}
		}
	}
}

func (r *run) kept() string {
	if !r.mu.TryLock() {
		return "the lock of the run"
	}
	defer r.mu.Unlock()
	text := ""
	for _, c := range []struct {
		n    int
		what string
	}{
		{r.owed, "targets without a result"},
		{len(r.out), "results that nobody took"},
		{r.storing, "intents and results that are not stored"},
		{r.limiter.Waiting(), "waiting jobs"},
		{r.limiter.Connecting(), "connects in progress"},
		{r.limiter.InFlight(), "slots"},
		{int(r.held.held.Load()), "bytes of output"},
		{len(r.barrier.held), "connections at the barrier"},
		{len(r.jobs), "targets for idle workers"},
	} {
		if c.n != 0 {
			text += fmt.Sprintf("%d %s; ", c.n, c.what)
		}
	}
	return text
}

const MaxStoring = maxStoring
