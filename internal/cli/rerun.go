package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/fleet"
	"shoal/journal"
	"shoal/record"
)

// againFlags are the flags of shoal rerun and shoal resume: those of a run,
// without the hosts, which the journal has.
type againFlags struct {
	hostFlags
	controlFlags
	outputFlags
	journalFlags
	remoteFlags
	rerunUnknown bool
	given        *pflag.FlagSet // all of them, as they were given
}

func (f *againFlags) register(cmd *cobra.Command) {
	f.journalFlags.stateDir = f.state
	f.given = cmd.Flags()
	withAliases(cmd)
	addInGroups(cmd, f.connection(), f.control(), f.remote(), f.output())
}

func newRerun(stdio Stdio) *cobra.Command {
	var f againFlags
	cmd := &cobra.Command{
		Use:   "rerun [flags] RUN WHAT",
		Short: "Run a command again on some targets of an earlier run",
		Long: `Make a new run of the same command on those targets of an earlier run that are
WHAT: ` + selectionWords() + `. Words are
separated by commas. Connection, control and output flags are those of shoal run;
what was asked of the far end, such as --once, is asked again.`,
		Example: "  shoal rerun last failed\n  shoal rerun last never-started,cause=auth -f 50",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return rerun(cmd.Context(), &f, args[0], args[1], stdio)
		},
	}
	f.register(cmd)
	return cmd
}

func newResume(stdio Stdio) *cobra.Command {
	var f againFlags
	cmd := &cobra.Command{
		Use:   "resume [flags] RUN",
		Short: "Go on with a run that was interrupted, or whose shoal is gone",
		Long: `Go on with a run that was broken off: what is done stays done, what certainly did
not run is run, and what may have run is unknown and is left alone, unless
--rerun-unknown says that it may run a second time.`,
		Example: "  shoal resume last",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return resume(cmd.Context(), &f, args[0], stdio)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.rerunUnknown, "rerun-unknown", false, "run again also where the command may have run already")
	return cmd
}

// rerun makes a new run of an earlier one's targets.
func rerun(ctx context.Context, f *againFlags, name, what string, stdio Stdio) error {
	selector, err := journal.ParseSelector(what)
	if err != nil {
		return err
	}
	j, err := openJournal(ctx, f.state())
	if err != nil {
		return err
	}
	info, targets, err := selected(ctx, j, name, selector)
	if err = errors.Join(err, j.Close()); err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("no target of the run %s is %s", info.Run, what)
	}
	for i := range targets {
		targets[i].Index = i
	}
	h := info.Header
	h.Run, h.Targets, h.Started, h.Program = rand.Text(), len(targets), time.Now(), "shoal "+version
	return again(ctx, f, h, info.Options, targets, stdio,
		func(ctx context.Context, flags *journalFlags, h *record.Header, planned iter.Seq[fleet.Target]) (*keeper, error) {
			return beginAs(ctx, flags, h, planned, info.Run)
		})
}

// resume goes on with a run. The journal's lock is taken before anything is
// decided, so that nobody else goes on with it too.
func resume(ctx context.Context, f *againFlags, name string, stdio Stdio) error {
	j, err := openJournal(ctx, f.state())
	if err != nil {
		return err
	}
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	r, err := j.Resume(ctx, id)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	k := &keeper{journal: j, run: r}
	selector := journal.Resumable
	if f.rerunUnknown {
		selector = journal.ResumableOrUnknown
	}
	info, targets, err := selected(ctx, j, id, selector)
	if err != nil {
		return errors.Join(err, k.abandon())
	}
	if len(targets) == 0 {
		say(stdio.Err, "nothing is left to run")
		return k.end(false, exitOK, nil)
	}
	h := info.Header
	h.Targets = len(targets)
	err = again(ctx, f, h, info.Options, targets, stdio,
		func(context.Context, *journalFlags, *record.Header, iter.Seq[fleet.Target]) (*keeper, error) {
			return k, nil
		})
	return err
}

// selected gives the targets of a run that a selector means, with their commands.
func selected(ctx context.Context, j *journal.Journal, name string, s journal.Selector) (*journal.RunInfo, []fleet.Target, error) {
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	info, err := j.Run(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if info.NoCommand {
		return info, nil, fmt.Errorf("the journal was told not to keep the command of the run %s\nhint: give it again with shoal run", id)
	}
	targets, err := j.Select(ctx, id, s)
	return info, targets, err
}

// again runs targets of the journal. They keep their commands, and what was asked
// of their far ends unless flags say otherwise; how they are reached is planned
// anew.
func again(ctx context.Context, f *againFlags, h record.Header, options map[string]string, targets []fleet.Target, stdio Stdio,
	begin func(context.Context, *journalFlags, *record.Header, iter.Seq[fleet.Target]) (*keeper, error),
) error {
	opts, err := f.hostFlags.options()
	if err == nil {
		err = f.controlFlags.apply(&opts)
	}
	if err == nil {
		err = f.outputFlags.validate()
	}
	if err == nil {
		err = recall(options, f.given)
	}
	if err == nil {
		err = f.remoteFlags.validate(f.on())
	}
	if err != nil {
		return err
	}
	f.journalFlags.options = f.remembered()
	opts.MaxOutput = f.kept()
	opts.Engine.Targets = len(targets)
	if err := opts.Validate(); err != nil {
		return err
	}
	warnInsecure(stdio.Err, opts)
	opts.Fanout = fanout(opts.Fanout, len(targets), stdio)
	h.Fanout = opts.Fanout
	for i := range targets {
		targets[i].Route = nil // made anew
	}
	opts.Preview = slices.Values(targets)
	planner, err := opts.Planner()
	if err != nil {
		return err
	}
	return execute(ctx, execution{
		opts: opts, output: &f.outputFlags, journal: &f.journalFlags, remote: &f.remoteFlags, rerun: f.rerunUnknown, timeout: f.timeout.duration(),
		header: h, begin: begin,
		targets: func(yield func(fleet.Target) bool) {
			for _, t := range targets {
				if !yield(planner.Target(ctx, t)) {
					return
				}
			}
		},
	}, stdio)
}
