package history

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

	"shoal"
	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/journal"
	"shoal/internal/ui"
	"shoal/record"
)

// againFlags are the flags of shoal rerun and shoal resume: those of shoal run
// without the hosts, which come from the journal.
type againFlags struct {
	flags.HostFlags
	run.ControlFlags
	display.OutputFlags
	run.JournalFlags
	run.RemoteFlags
	dryRun         bool
	assumeDefaults bool
	rerunUnknown   bool
	pastBrake      bool
	given          *pflag.FlagSet // the command's whole flag set
	keptNames      []string       // the names of the flags that the journal keeps
}

// register adds the flags to cmd, together with the command's own flags.
func (f *againFlags) register(cmd *cobra.Command, own flags.FlagGroup) {
	f.JournalFlags.StateDir = f.State
	f.given = cmd.Flags()
	run.WithAliases(cmd)
	own.BoolVar(&f.dryRun, "dry-run", false, "print what would run where, how and why, and do nothing")
	own.BoolVar(&f.assumeDefaults, "assume-defaults", false, "take the flags given here, and the defaults, for what an older shoal has not kept of the run")
	connection, control := f.Connection(), f.Control()
	f.keptNames = run.KeptFlags(connection, control)
	flags.AddInGroups(cmd, own, connection, control, f.Remote(), f.Output())
}

// asTheRun is the help text on which settings of the earlier run are reused.
const asTheRun = `Targets are reached as the run reached them: address, port, user, jump hosts. Its
flags for connection, control, far end and --max-output are taken from the
journal, rollout and brakes too; brakes count anew. A flag that is given here
wins; an empty one, --max-fail '' or --rollout '', takes the run's away; -J has the
way to the targets made anew. Files that have changed since are named.`

// NewRerun returns shoal rerun.
func NewRerun(stdio console.Stdio) *cobra.Command {
	var f againFlags
	cmd := &cobra.Command{
		Use:   "rerun [flags] RUN WHAT",
		Short: "Run a command again on some targets of an earlier run",
		Long: `Make a new run of the same command on those targets of an earlier run that are
WHAT: ` + selectionWords() + `. Words are
separated by commas.

` + asTheRun,
		Example: "  shoal rerun last failed\n  shoal rerun last never-started,cause=auth -f 50\n  shoal rerun --dry-run last unknown",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return rerun(cmd.Context(), &f, args[0], args[1], stdio)
		},
	}
	f.register(cmd, flags.NewGroup("Running again"))
	return cmd
}

// NewResume returns shoal resume.
func NewResume(stdio console.Stdio) *cobra.Command {
	var f againFlags
	cmd := &cobra.Command{
		Use:   "resume [flags] RUN",
		Short: "Go on with a run that was interrupted, or whose shoal is gone",
		Long: `Go on with a run that was broken off: what is done stays done, what certainly did
not run is run, and what may have run is unknown and is left alone, unless
--rerun-unknown says that it may run a second time. A run that its own brake has
stopped goes on only with --past-brake.

` + asTheRun,
		Example: "  shoal resume last\n  shoal resume --dry-run last",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return resume(cmd.Context(), &f, args[0], stdio)
		},
	}
	own := flags.NewGroup("Going on")
	own.BoolVar(&f.rerunUnknown, "rerun-unknown", false, "run again also where the command may have run already")
	own.BoolVar(&f.pastBrake, "past-brake", false, "go on though the run's own brake (--max-fail, --max-unknown, --fail-fast, --check) has stopped it")
	f.register(cmd, own)
	return cmd
}

// open opens the journal. A dry run opens it read-only: it does not upgrade an
// older one, which its own program must still be able to read.
func (f *againFlags) open(ctx context.Context) (*journal.Journal, error) {
	if dir := f.State(); f.dryRun && dir != "" && journal.Exists(dir) {
		return journal.OpenReadOnly(ctx, dir, journal.Options{})
	}
	return run.OpenExisting(ctx, f.State())
}

// rerun makes a new run of selected targets of an earlier run.
func rerun(ctx context.Context, f *againFlags, name, what string, stdio console.Stdio) error {
	selector, err := journal.ParseSelector(what)
	if err != nil {
		return err
	}
	j, err := f.open(ctx)
	if err != nil {
		return err
	}
	e, err := readEarlier(ctx, j, name, selector)
	if err = errors.Join(err, j.Close()); err != nil {
		return err
	}
	if len(e.targets) == 0 {
		return fmt.Errorf("no target of the run %s is %s", e.info.Run, what)
	}
	for i := range e.targets {
		e.targets[i].Index = i
	}
	h := e.info.Header
	h.Run, h.Targets, h.Started, h.Program = rand.Text(), len(e.targets), time.Now(), "shoal "+console.Version
	return again(ctx, f, e, h, stdio, func(ctx context.Context, flags *run.JournalFlags, h *record.Header, planned iter.Seq[fleet.Target]) (*run.Journaling, error) {
		return run.BeginAs(ctx, flags, h, planned, e.info.Run)
	})
}

// resume continues a run. Targets are selected before the run's lock is taken,
// so the session number is checked once the lock is held: a different number
// means that another process resumed the run meanwhile.
func resume(ctx context.Context, f *againFlags, name string, stdio console.Stdio) (err error) {
	j, err := f.open(ctx)
	if err != nil {
		return err
	}
	k := &run.Journaling{Journal: j}
	begun := false // true: whoever ends the run also closes the Journaling
	defer func() {
		switch {
		case begun:
		case k.Run != nil:
			err = errors.Join(err, k.Abandon())
		default:
			err = errors.Join(err, j.Close())
		}
	}()
	selector := journal.Resumable
	if f.rerunUnknown {
		selector = journal.ResumableOrUnknown
	}
	e, err := readEarlier(ctx, j, name, selector)
	if err != nil {
		return err
	}
	switch {
	case e.info.State == journal.Running:
		return fmt.Errorf("resuming run %s: %w", e.info.Run, journal.ErrGoing)
	case e.info.State == journal.Incomplete:
		return fmt.Errorf("resuming run %s: %w", e.info.Run, journal.ErrNeverBegan)
	case len(e.targets) == 0:
		console.Say(stdio.Err, "nothing is left to run")
		return nil
	case e.braked > 0 && !f.pastBrake:
		return fmt.Errorf("the run %s is not resumed: %s; %s targets were not started for that\nhint: --past-brake goes on, and its brakes count anew",
			e.info.Run, e.brake, ui.Count(int64(e.braked)))
	}
	if err := f.checkMarkers(e); err != nil {
		return err
	}
	h := e.info.Header
	h.Targets = len(e.targets)
	return again(ctx, f, e, h, stdio, func(ctx context.Context, _ *run.JournalFlags, _ *record.Header, _ iter.Seq[fleet.Target]) (*run.Journaling, error) {
		var err error
		if k.Run, err = j.Resume(ctx, e.info.Run); err != nil {
			return nil, err
		}
		if k.Run.Session() != len(e.info.Sessions) {
			return nil, fmt.Errorf("somebody else has gone on with the run %s meanwhile\nhint: try again", e.info.Run)
		}
		begun = true
		return k, nil
	})
}

// An earlier is a run in the journal with the selected targets.
type earlier struct {
	info    *journal.RunInfo
	targets []fleet.Target // with their commands
	unknown map[int]bool   // by index: targets whose command may have run
	braked  int            // number of selected targets that a brake kept from starting
	brake   string         // the brake's error
}

// again returns the targets that may run a second time in run: those of this run
// whose command may have run. Another run has markers of its own.
func (e *earlier) again(run string) map[int]bool {
	if run != e.info.Run {
		return nil
	}
	return e.unknown
}

// checkMarkers refuses flags with which resume would leave markers at another
// place than resolve, collect and a later resume look for them: these go by what
// the journal keeps of the run.
func (f *againFlags) checkMarkers(e *earlier) error {
	names := []string{"once", "detach", "kill-on-cancel", "run-dir"}
	was := &run.RemoteFlags{}
	set := was.Remote().FlagSet
	if err := run.Recall(e.info.Options, set); err != nil {
		return err
	}
	if was.Marked() {
		names = append(names, "user", "port", "jump", "option")
	}
	for _, name := range names {
		if f.given.Changed(name) {
			return fmt.Errorf("--%s cannot change when a run is resumed: its markers on the hosts would not be found again\nhint: leave it out; shoal rerun makes a new run", name)
		}
	}
	return nil
}

func readEarlier(ctx context.Context, j *journal.Journal, name string, s journal.Selector) (*earlier, error) {
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	e := &earlier{unknown: make(map[int]bool)}
	if e.info, err = j.Run(ctx, id); err != nil {
		return nil, err
	}
	if e.info.NoCommand {
		return nil, fmt.Errorf("the journal was told not to keep the command of the run %s\nhint: give it again with shoal run", id)
	}
	e.targets, err = j.Select(ctx, id, func(entry *journal.Entry) bool {
		if !s(entry) {
			return false
		}
		if journal.Unknown(entry) {
			e.unknown[entry.Target.Index] = true
		}
		if entry.Standing == journal.Done && entry.Reason == fleet.ReasonBrake {
			e.braked++
			if entry.Err != nil {
				e.brake = entry.Err.Error()
			}
		}
		return true
	})
	return e, err
}

// again runs the selected targets with the settings of the earlier run, except
// where a flag is given now.
func again(ctx context.Context, f *againFlags, e *earlier, h record.Header, stdio console.Stdio,
	begin func(context.Context, *run.JournalFlags, *record.Header, iter.Seq[fleet.Target]) (*run.Journaling, error),
) error {
	if e.info.Settings == nil && !f.assumeDefaults {
		return fmt.Errorf("the run %s was made by %s, which kept neither its brakes, rollout and rate nor its keys, trust and configuration\n"+
			"hint: give the flags that it had, and --assume-defaults for those that it had not", e.info.Run, ui.Visible(e.info.Program))
	}
	x, err := f.prepare(ctx, e, h, stdio)
	if err != nil {
		return err
	}
	if f.dryRun {
		if e.info.Settings != nil {
			console.Say(stdio.Err, "the run had %s", x.recalled.Text())
		}
		return run.DryRun(ctx, stdio, x.Opts, slices.Values(x.targets), func(t fleet.Target) (string, error) { return t.Command, nil })
	}
	flags.WarnInsecure(stdio.Err, x.Opts)
	if x.Plan, err = x.Opts.Plan(ctx, slices.Values(x.targets), nil); err != nil {
		return err
	}
	defer x.Plan.Close()
	x.Begin = begin
	return run.Execute(ctx, x.Execution, stdio)
}

// A repetition is an Execution for targets of an earlier run.
type repetition struct {
	run.Execution
	recalled run.Recalled
	targets  []fleet.Target // not resolved
}

// prepare combines the settings of the earlier run with the flags given now.
func (f *againFlags) prepare(ctx context.Context, e *earlier, h record.Header, stdio console.Stdio) (x repetition, err error) {
	if x.recalled, err = run.RecallSettings(e.info, f.given, true, stdio.Err); err != nil {
		return x, err
	}
	if err := run.Recall(e.info.Options, f.given); err != nil {
		return x, err
	}
	if e.info.Settings != nil && !x.recalled.Now["check"] {
		f.CheckDir = e.info.Settings.Directory
	}
	opts, err := f.HostFlags.Options()
	opts.Engine.Notice = func(text string) { console.Say(stdio.Err, "%s", ui.Visible(text)) }
	if err == nil {
		err = x.recalled.TellFiles(&f.HostFlags, &opts, stdio.Err)
	}
	if err == nil {
		err = f.ControlFlags.Apply(&opts)
	}
	if err == nil {
		err = f.OutputFlags.Validate()
	}
	if err == nil {
		err = f.RemoteFlags.Validate(f.On())
	}
	if err != nil {
		return x, err
	}
	targets := e.targets
	canary, err := run.ParseCanaries(f.Canary, hostsOf(targets), x.recalled.Now["canary"])
	if err != nil {
		return x, err
	}
	targets = slices.Collect(canary.First(slices.Values(targets)))
	opts.Engine.Rollout = append(canary.Stage(slices.Values(targets)), opts.Engine.Rollout...)
	opts.Engine.MaxOutput = f.OutputFlags.Kept()
	opts.Engine.Targets = len(targets)
	if err := opts.Validate(); err != nil {
		return x, err
	}
	opts.Engine.Fanout = run.Fanout(opts.Engine.Fanout, len(targets), stdio)
	h.Fanout = opts.Engine.Fanout
	x.recalled.Route(targets, &opts)
	f.Key = run.NewMarkerKey()
	if h.Run == e.info.Run { // resumed
		f.Key = e.info.Options[run.OptionKey]
	}
	if err := f.remember(x.recalled, &opts); err != nil {
		return x, err
	}
	x.Execution = run.Execution{
		Opts: opts, Output: &f.OutputFlags, Journal: &f.JournalFlags, Remote: &f.RemoteFlags, Rerun: e.again(h.Run), Timeout: f.Timeout.Duration(),
		Header: h, Indexes: indexesOf(targets),
	}
	x.targets = targets
	return x, nil
}

// remember sets what the journal keeps about the new run: the earlier run's
// settings, except where a flag is given now.
func (f *againFlags) remember(r run.Recalled, opts *shoal.Options) (err error) {
	earlier := r.Info
	f.JournalFlags.Options = f.Remembered()
	if f.Settings, err = run.SettingsOf(f.given, f.keptNames, &f.HostFlags, opts, false); err != nil || earlier.Settings == nil {
		return err
	}
	if f.CheckDir != "" && (!r.Now["option"] || run.Elsewhere(f.SshOptions) == "") { // trust matters more than --check
		f.Settings.Directory = f.CheckDir
	}
	for _, file := range earlier.Settings.Files {
		if file.Kind == journal.FileInventory {
			f.Settings.Files = append(f.Settings.Files, file)
		}
	}
	return nil
}

// indexesOf returns the targets' indexes in ascending order.
func indexesOf(targets []fleet.Target) []int {
	indexes := make([]int, len(targets))
	for i, t := range targets {
		indexes[i] = t.Index
	}
	slices.Sort(indexes)
	return indexes
}

func hostsOf(targets []fleet.Target) []fleet.Host {
	hosts := make([]fleet.Host, len(targets))
	for i, t := range targets {
		hosts[i] = t.Host
	}
	return hosts
}
