// Package connect plans the targets of a run and opens what connecting to them needs:
// identities, known_hosts, clients, connections to jump hosts, the host cache. Call
// [Options.Plan], and [Plan.Engine] for the engine's options; package run runs and asks.
package connect

import (
	"context"
	"fmt"
	"iter"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/engine"
	"shoal/internal/placeholder"
	"shoal/internal/plan"
	"shoal/internal/remote/wrap"
)

// Run runs the command text on every target and yields results as they complete.
// Unlike a [Plan] it keeps nothing of the targets, and records nothing.
func Run(ctx context.Context, opts Options, targets iter.Seq[fleet.Target], text string) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		if err := opts.Validate(); err != nil { // before reading files or asking for passphrases
			yield(fleet.Result{}, err)
			return
		}
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			yield(fleet.Result{}, fmt.Errorf("reading the command: %w", err))
			return
		}
		run(ctx, opts, targets, commandOf(template))(yield)
	}
}

// RunCommands is Run for targets that have their commands, which may come as slowly as they like: each
// is planned when its turn comes.
func RunCommands(ctx context.Context, opts Options, targets iter.Seq[fleet.Target]) iter.Seq2[fleet.Result, error] {
	return run(ctx, opts, targets, nil)
}

func run(ctx context.Context, opts Options, targets iter.Seq[fleet.Target], command plan.Command) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		planner, err := opts.Planner()
		if err != nil {
			yield(fleet.Result{}, err)
			return
		}
		control := opts.Bounded()
		if control.Clock == nil {
			control.Clock = clock.New()
			defer control.Clock.Close()
			opts.Engine.Clock = control.Clock
		}
		if control.Dialer == nil {
			open, err := opts.connect(ctx, nil)
			if err != nil {
				yield(fleet.Result{}, err)
				return
			}
			defer open.close()
			control.Dialer = open.dialer
		}
		if control.Dialer, err = wrap.New(control.Dialer, wrap.Options{}); err != nil {
			yield(fleet.Result{}, err)
			return
		}
		if opts.Ahead != nil {
			control.Dialer = opts.Ahead(control.Dialer)
		}
		engine.Run(ctx, control, planner.Stream(ctx, targets, command))(yield)
	}
}
