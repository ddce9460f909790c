package shoal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/reach"
)

// Ping logs in to every target, runs nothing there and closes the connection in order. A result
// has fleet.OutcomeOK, or fleet.OutcomeNeverStarted with the phase and reason of its failure; Took
// has the time of each phase.
//
// until is the last phase: fleet.PhaseDial, PhaseBanner, PhaseKex or PhaseHostkey, after which
// nothing is sent that belongs to a later one, or PhaseAuth; 0 means PhaseAuth. sshd punishes
// sources that often stop before the login (PerSourcePenalties of OpenSSH 9.8 and later). A host
// key is checked from PhaseHostkey on, and learned at PhaseAuth only.
//
// Of o, Rollout, Remote, Stdin, Terminal, Output, Journal and Resume must not be set, and
// Limits.Attempts 0 means 1.
func Ping(ctx context.Context, targets iter.Seq[Target], until fleet.Phase, o Options) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if err := o.ping(ctx, targets, until, yield); err != nil {
			yield(Result{}, err)
		}
	}
}

// ping returns the run's own failure, unless yield has stopped it.
func (o Options) ping(ctx context.Context, targets iter.Seq[Target], until fleet.Phase, yield func(Result, error) bool) error {
	if err := errors.Join(o.Validate(), o.waits(), o.stopsAfter(until)); err != nil {
		return err
	}
	opened, err := o.open(ctx, withCommand(targets, false), nil, o.entry())
	if err != nil {
		return err
	}
	defer opened.close()
	if until == fleet.PhaseAuth {
		until = 0
	}
	e := opened.engine
	e.Dialer, e.Attempts = reach.LoginOnly{Dialer: e.Dialer, Until: until}, cmp.Or(o.Limits.Attempts, 1)
	for res, err := range engine.Run(ctx, e, opened.plan.Targets()) {
		if err != nil {
			return err
		}
		if !yield(res, nil) {
			return nil
		}
	}
	return nil
}

// stopsAfter returns an error for a phase after which a login cannot stop.
func (o Options) stopsAfter(until fleet.Phase) error {
	switch {
	case until == 0 || until == fleet.PhaseAuth:
		return nil
	case until < fleet.PhaseDial || until > fleet.PhaseAuth:
		return fmt.Errorf("a ping ends with the phase dial, banner, kex, hostkey or auth, not with %v", until)
	case o.Client.Standard || o.Client.OpenSSH:
		return fmt.Errorf("only shoal's own client can stop after the phase %v: leave Client.Standard and Client.OpenSSH", until)
	}
	return nil
}
