package main

import (
	"context"
	"fmt"
	"iter"

	"shoal"
	"shoal/fleet"
)

// wholeRun is a client that uses shoal.Run, including planning, host keys,
// authentication, engine and results.
type wholeRun struct {
	job     job
	options shoal.Options
	closer  func()
}

func (j job) openRun(ctx context.Context) (*wholeRun, error) {
	w := &wholeRun{job: j, options: shoal.Options{
		SSHConfig: "none", User: j.User, Identities: []string{j.Key}, Agent: shoal.NoAgent,
		KnownHosts: []string{j.KnownHosts}, StateDir: j.State,
		Classical: j.Kex == kexClassical,
	}}
	w.options.Engine.Starts = -1
	if j.Client == clientRunStd {
		w.options.Client = shoal.ClientStandard
	}
	plan, err := w.options.Plan(ctx, func(func(fleet.Target) bool) {}, nil)
	if err != nil {
		return nil, err
	}
	w.closer = plan.Close
	w.options.Engine.Dialer, err = plan.Open(ctx)
	return w, err
}

func (w *wholeRun) close() error {
	w.closer()
	return nil
}

func (w *wholeRun) many(ctx context.Context, n, atOnce int) error {
	o := w.options
	o.Engine.Fanout = atOnce
	for r, err := range shoal.Run(ctx, o, w.targets(n), w.job.Command) {
		switch {
		case err != nil:
			return err
		case r.Outcome != fleet.OutcomeOK:
			return fmt.Errorf("%v ended %v: %w", r.Target.Host, r.Outcome, r.Err)
		}
		if err := w.job.checkOutput(r.Stdout.Size, r.Stderr.Size); err != nil {
			return err
		}
	}
	return nil
}

func (w *wholeRun) targets(n int) iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		for i := range n {
			t, err := w.job.target(i, "")
			t.User, t.Port = "", 0
			if err != nil || !yield(t) {
				return
			}
		}
	}
}

func (w *wholeRun) run(ctx context.Context, _ int) error { return w.many(ctx, 1, 1) }

func (w *wholeRun) hold(context.Context, int, func()) error {
	return fmt.Errorf("%s is held by the program itself", w.job.Client)
}
