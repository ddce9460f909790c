package run

import (
	"context"

	"shoal"
	"shoal/internal/clock"
	"shoal/internal/engine"
)

// Connect opens the run's Dialer, with a clock of its own, and
// returns the settings of the fan-out. It may ask on the terminal. Call closer after
// the last run.
func Connect(ctx context.Context, opts *shoal.Options) (o engine.Options, closer func(), err error) {
	opts.Engine.Clock = clock.New()
	dialer, closeDialer, err := opts.OpenDialer(ctx)
	if err != nil {
		opts.Engine.Clock.Close()
		return o, nil, err
	}
	return opts.EngineOptions(dialer), func() {
		closeDialer()
		opts.Engine.Clock.Close()
	}, nil
}
