package shoal

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"shoal/internal/reach"
)

// WaitOptions say what [Wait] waits for.
type WaitOptions struct {
	// Limit is how long to wait at most. 0 means 10 min; negative is an error.
	Limit time.Duration
	// Rebooted waits until each host has another boot identifier than the first that it has
	// told: Linux's boot_id, kern.bootsessionuuid of macOS, or the time of the boot. What is not
	// well-formed is none (fleet.ReasonBootUnknown).
	Rebooted bool
	// Taken is called, with Rebooted, when all hosts have told their first identifiers, or
	// cannot: reboot them then. n is how many have. nil disables it.
	Taken func(n int)
}

// Wait tries to log in to every target until it lets us in, and yields a result when its wait has
// ended: fleet.OutcomeOK, or fleet.OutcomeNeverStarted with what the last try has shown. Attempt is
// the number of tries; the pause between them grows to 30 s. What waiting does not help, such as
// another host key, ends the wait of its target at once. Nothing runs there, but with Rebooted the
// question for the identifier.
//
// Of o, Rollout, Remote, Stdin, Terminal, Output, Journal and Resume must not be set, and
// Limits.Attempts has no meaning.
func Wait(ctx context.Context, targets iter.Seq[Target], w WaitOptions, o Options) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		err := errors.Join(o.Validate(), o.waits())
		if w.Limit < 0 {
			err = errors.Join(err, errors.New("WaitOptions.Limit is negative; 0 means 10 min"))
		}
		if err == nil {
			err = o.wait(ctx, targets, w, yield)
		}
		if err != nil {
			yield(Result{}, err)
		}
	}
}

// waits returns an error for options that Wait does not have.
func (o Options) waits() error {
	r, b := o.Remote, o.Rollout
	if o.Stdin != nil || o.Terminal != nil || o.Output != nil || o.Journal != nil || o.Resume != (ResumeOptions{}) ||
		r.remote().Wraps() || r.Become != nil ||
		len(b.Stages) > 0 || b.MaxFail != nil || b.MaxUnknown != nil || b.FailFast || b.Barrier {
		return errors.New("nothing is run: Rollout, Remote, Stdin, Terminal, Output, Journal and Resume are for commands")
	}
	return nil
}

// wait returns the run's own failure, unless yield has stopped it.
func (o Options) wait(ctx context.Context, targets iter.Seq[Target], w WaitOptions, yield func(Result, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	boots := &reach.Boots{Ask: w.Rebooted, Rebooted: w.Rebooted, Before: make(map[string]string)}
	opened, err := o.open(ctx, withCommand(targets, w.Rebooted), nil, o.entry())
	if err != nil {
		return err
	}
	defer opened.close()
	e := opened.engine
	if w.Rebooted {
		e.CommandTimeout, e.Idempotent = reach.AskTimeout, true
	} else {
		e.Dialer = reach.LoginOnly{Dialer: e.Dialer}
	}
	over, release := reach.Until(ctx, e.Clock, cmp.Or(w.Limit, 10*time.Minute), o.Drain)
	defer release()
	left, lost, told := false, 0, w.Taken == nil || !w.Rebooted
	err = (&reach.Waiter{
		Engine: e, Over: over,
		Judge: func(res *Result) reach.Verdict {
			v := boots.Judge(res, opened.passwords != nil)
			if v == reach.Hopeless {
				lost++
			}
			if n := boots.Taken(); !told && n+lost >= e.Targets {
				told = true
				w.Taken(n)
			}
			return v
		},
		Final: func(res Result) {
			if left = left || !yield(res, nil); left {
				cancel()
			}
		},
	}).Wait(ctx, opened.plan.Targets())
	if left {
		return nil
	}
	return err
}

func withCommand(targets iter.Seq[Target], ask bool) iter.Seq[Target] {
	return func(yield func(Target) bool) {
		for t := range targets {
			if t.Command = ""; ask {
				t.Command = reach.BootCommand
			}
			if !yield(t) {
				return
			}
		}
	}
}
