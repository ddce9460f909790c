package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/fleet"
	"shoal/internal/cli/config"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/run"
	"shoal/internal/ui"
	"shoal/record"
)

// againFlags are the flags of shoal rerun and shoal resume: those of shoal run
// without the hosts, which come from the journal.
type againFlags struct {
	flags.HostFlags
	clirun.ControlFlags
	display.OutputFlags
	clirun.JournalFlags
	clirun.RemoteFlags
	clirun.EndFlags
	cluster        clirun.ClusterFlags
	dryRun         bool
	assumeDefaults bool
	rerunUnknown   bool
	pastBrake      bool
	pastRerun      bool
	verb           string         // what the command does with the earlier run
	resuming       bool           // the command is resume
	given          *pflag.FlagSet // the command's whole flag set
	keptNames      []string       // the names of the flags that the journal keeps
}

// register adds the flags to cmd, together with the command's own flags.
func (f *againFlags) register(cmd *cobra.Command, own flags.FlagGroup) {
	f.JournalFlags.StateDir = f.State
	f.given = cmd.Flags()
	clirun.WithAliases(cmd)
	own.BoolVar(&f.dryRun, "dry-run", false, "print what would run where, how and why, and do nothing")
	own.BoolVar(&f.assumeDefaults, "assume-defaults", false, "take the flags given here, and the defaults, for what an older shoal has not kept of the run")
	command, connection, become, control := f.Command(), f.Connection(), f.Become(), f.Control()
	f.keptNames = clirun.KeptFlags(command, connection, become, control)
	flags.AddInGroups(cmd, own, command, connection, become, control, f.Remote(), f.WithSpool(f.WithFollow(f.WithTimestamps(f.Output()))), f.Ending(), f.cluster.Group(&f.keptNames))
	flags.AsRecorded(cmd.Flags(), f.keptNames)
	flags.AsRecorded(cmd.Flags(), run.RemoteOptions)
}

// asTheRun is the help text on which settings of the earlier run are reused.
const asTheRun = `Targets are reached as the run reached them: address, port, user, jump hosts. Its
flags for connection, control, far end and --max-output are taken from the
journal, rollout and brakes too; brakes count anew. A flag that is given here
wins; an empty one, --max-fail '' or --rollout '', takes the run's away; -J has the
way to the targets made anew. Files that have changed since are named. Standard
input that the commands had must be given again, and be the same.`

// NewRerun returns shoal rerun.
func NewRerun(stdio console.Stdio) *cobra.Command {
	var f againFlags
	cmd := &cobra.Command{
		Use:   "rerun [flags] RUN WHAT [EXPR...]",
		Short: "Run a command again on some targets of an earlier run",
		Long: `Make a new run of the same command on those targets of an earlier run that are
WHAT: ` + selectionWords() + `. Words are
separated by commas. With host expressions, only on those that they name.

` + asTheRun,
		Example: "  shoal rerun last failed\n  shoal rerun last never-started,cause=auth -f 50\n  shoal rerun last failed 'web[01-07]'\n  shoal rerun --dry-run last unknown",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return rerun(cmd.Context(), &f, args[0], args[1], args[2:], stdio)
		},
	}
	f.register(cmd, flags.NewGroup("Running again"))
	cmd.ValidArgsFunction = clirun.CompleteRun(true)
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
--rerun-unknown says that it may run a second time. Targets that a rerun of the run
has taken are left out without --past-rerun. A run that its own brake has stopped
goes on only with --past-brake. If its canaries are done, or no stage is left, its
--check comes first.

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
	own.BoolVar(&f.pastRerun, "past-rerun", false, "run also the targets that a rerun of the run has taken: commands may run a second time")
	f.register(cmd, own)
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	return cmd
}

// open opens the journal. A dry run opens it read-only: it does not upgrade an
// older one, which its own program must still be able to read.
func (f *againFlags) open(ctx context.Context) (*journal.Journal, error) {
	if dir := f.State(); f.dryRun && dir != "" && journal.Exists(dir) {
		return journal.OpenReadOnly(ctx, dir, journal.Options{})
	}
	return clirun.OpenExisting(ctx, f.State())
}

// rerun makes a new run of selected targets of an earlier run; hosts are expressions, none for
// any.
func rerun(ctx context.Context, f *againFlags, name, what string, hosts []string, stdio console.Stdio) error {
	f.Selects = run.HasDiffers(what)
	if err := f.OutputFlags.Validate(); err != nil {
		return err
	}
	j, err := f.open(ctx)
	if err != nil {
		return err
	}
	var e *run.Earlier
	id, err := j.Resolve(ctx, name)
	var selector journal.Selector
	if err == nil {
		selector, err = run.ParseSelection(ctx, j, id, what, f.GroupOptions())
	}
	if err == nil && len(hosts) > 0 {
		var named journal.Selector
		named, err = namedHosts(ctx, j, id, hosts)
		some := selector
		selector = func(e *journal.Entry) bool { return named(e) && some(e) }
	}
	if err == nil {
		e, err = run.ReadToRerun(ctx, j, id, selector)
	}
	if err == nil {
		sayLeftOut(stdio.Err, e)
	}
	if err == nil && len(e.Targets) == 0 {
		err = fmt.Errorf("no target of the run %s is %s", e.Info.Run, what)
	}
	if err != nil {
		return errors.Join(err, j.Close())
	}
	h := e.Info.Header
	h.Run, h.Targets, h.Started, h.Program = "", len(e.Targets), time.Now(), "shoal "+console.Version
	f.verb = "running again what was selected of"
	return again(ctx, f, e, h, j, stdio, func(ctx context.Context, x *clirun.Execution) (*run.Run, error) {
		return e.Rerun(ctx, j, f.Info(x.Header), f.Wrapper, x.Plan)
	})
}

func sayLeftOut(w io.Writer, e *run.Earlier) {
	if text := e.LeftOut(); text != "" {
		console.Say(w, "%s (give it again with shoal run)", ui.Visible(text))
	}
	if text := e.Taken(); text != "" {
		console.Say(w, "%s", text)
	}
}

// resume continues a run.
func resume(ctx context.Context, f *againFlags, name string, stdio console.Stdio) error {
	j, err := f.open(ctx)
	if err != nil {
		return err
	}
	e, err := run.ReadToResume(ctx, j, name, run.ResumeOptions{RerunUnknown: f.rerunUnknown, PastBrake: f.pastBrake, PastRerun: f.pastRerun})
	if braked, ok := errors.AsType[*run.BrakedError](err); ok {
		err = hint.Wrap(fmt.Errorf("%w; %s targets were not started for that", err, ui.Count(int64(braked.Braked))),
			"--past-brake goes on, and its brakes count anew")
	}
	if err == nil {
		sayLeftOut(stdio.Err, e)
	}
	if err == nil && len(e.Targets) > 0 {
		err = f.checkMarkers(e)
	}
	if err != nil || len(e.Targets) == 0 {
		if err == nil {
			console.Say(stdio.Err, "nothing is left to run")
		}
		return errors.Join(err, j.Close())
	}
	h := e.Info.Header
	h.Targets = len(e.Targets)
	f.verb, f.resuming = "going on with", true
	return again(ctx, f, e, h, j, stdio, func(ctx context.Context, x *clirun.Execution) (*run.Run, error) {
		return e.Resume(ctx, j, f.Wrapper, x.Plan)
	})
}

// checkMarkers refuses flags with which resume would leave markers at another
// place than resolve, collect and a later resume look for them, or without the
// address that a worker had dialled: these go by what the journal keeps of the run.
func (f *againFlags) checkMarkers(e *run.Earlier) error {
	names := []string{"once", "detach", "kill-on-cancel", "run-dir"}
	was, err := run.RemoteOf(e.Info)
	if err != nil {
		return err
	}
	if was.Marked() {
		names = append(names, "user", "port", "jump", "option", "become", "become-user", "become-method")
		if f.cluster.URL != "" && !run.ByWorkers(e.Info) {
			names = append(names, "cluster")
		}
	}
	for _, name := range names {
		if f.given.Changed(name) {
			return hint.Wrap(fmt.Errorf("--%s cannot change when a run is resumed: its markers on the hosts would not be found again", name),
				"leave it out; shoal rerun makes a new run")
		}
	}
	return nil
}

// again runs the selected targets with the settings of the earlier run, except
// where a flag is given now. It closes j.
func again(ctx context.Context, f *againFlags, e *run.Earlier, h record.Header, j *journal.Journal, stdio console.Stdio,
	begin func(context.Context, *clirun.Execution) (*run.Run, error),
) error {
	if err := sayWhich(ctx, f.verb, e.Info, j, stdio.Err); err != nil {
		return errors.Join(err, j.Close())
	}
	verbose := display.NewVerbose(f.HostFlags.Verbose, stdio)
	defer verbose.Close()
	script, err := run.OpenScript(e.Info)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	f.Wrapper.Script = script
	x, err := f.prepare(ctx, e, h, stdio)
	x.Verbose, x.Opts.Engine.Verbose = verbose, verbose.Func()
	if err == nil && f.checkUnused(x.Opts.Engine) {
		console.Say(stdio.Err, "the run's --check is not made: it is for the time between two stages, and there is one stage only")
	}
	if err != nil || f.dryRun {
		if err = errors.Join(err, j.Close()); err != nil {
			return err
		}
		f.TellCommand(stdio.Err)
		if f.cluster.URL != "" {
			if err := f.cluster.TellWorkers(ctx, slices.Values(x.targets), stdio); err != nil {
				return err
			}
		}
		return clirun.DryRun(ctx, stdio, x.Opts, slices.Values(x.targets), func(t fleet.Target) (string, error) { return t.Command, nil })
	}
	if err := config.Confirm(ctx, e.Info.Command, slices.Values(x.targets), false, stdio); err != nil {
		return errors.Join(err, j.Close())
	}
	if err := f.ReadBecomePassword(ctx, f.Wrapper.Become); err != nil {
		return errors.Join(err, j.Close())
	}
	clirun.Withhold(&x.Opts, f.Wrapper)
	input, err := f.OpenInput(ctx, stdio)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	defer func() { _ = input.Close() }()
	closeCopy, err := f.reopenCopy(ctx, e.Info)
	defer closeCopy()
	if err == nil {
		err = f.Wrapper.CheckInput(e.Info)
	}
	if err != nil {
		return errors.Join(err, j.Close())
	}
	flags.WarnInsecure(stdio.Err, x.Opts)
	if check := x.Opts.Engine.Check; check != nil && f.resuming && !f.pastBrake && x.checkFirst {
		// The canaries are done, and the check after them may not have been made.
		if err := check(ctx, 1); err != nil {
			return errors.Join(hint.Wrap(fmt.Errorf("the run %s is not resumed: the check after stage 1: %w", e.Info.Run, err), "--past-brake goes on without it"), j.Close())
		}
	}
	begins := func(ctx context.Context) (*run.Run, error) { return begin(ctx, &x.Execution) }
	if f.cluster.URL != "" {
		if x.Workers, err = f.cluster.Join(ctx, &x.Opts, len(x.targets), stdio); err != nil {
			return errors.Join(err, j.Close())
		}
		defer x.Workers.Close()
		x.Header.Fanout, begins = x.Opts.Engine.Fanout, x.Workers.Begin(begins)
	}
	if x.Plan, err = x.Opts.Plan(ctx, slices.Values(x.targets), nil); err != nil {
		return errors.Join(err, j.Close())
	}
	defer x.Plan.Close()
	x.Journal = j
	x.Begin = begins
	return clirun.Execute(ctx, x.Execution, stdio)
}

// reopenCopy opens again what the run copied, if it copied files.
func (f *againFlags) reopenCopy(ctx context.Context, info *journal.RunInfo) (closeCopy func(), err error) {
	var r run.Remote
	closeCopy, err = run.Reopen(ctx, info, &r)
	if err == nil {
		err = errors.Join(f.SetCopy(r.Push, r.Pull), f.cluster.SetCopy(r.Push, r.Pull))
	}
	return closeCopy, err
}

// checkUnused reports whether a recalled check has no stage after which it would be made.
func (f *againFlags) checkUnused(o engine.Options) bool {
	return o.Check != nil && len(o.Rollout) == 0 && (!f.resuming || f.pastBrake)
}

// sayWhich says on which run, made when and with what, is worked again: RUN is often
// "last", which need not be the run that was meant.
func sayWhich(ctx context.Context, verb string, info *journal.RunInfo, j *journal.Journal, stderr io.Writer) error {
	sum, err := j.Summary(ctx, info.Run)
	if err != nil {
		return err
	}
	console.Say(stderr, "%s the run %s, begun %s (%s): %s", verb, info.Run, info.Started.Local().Format("2006-01-02 15:04:05"),
		counts(sum), shortened(ui.Visible(info.Command), 60))
	if had := clirun.SettingsText(info.Settings); had != "" {
		console.Say(stderr, "the run had %s", had)
	}
	return nil
}

// A repetition is an Execution for targets of an earlier run.
type repetition struct {
	clirun.Execution
	recalled clirun.Recalled
	targets  []fleet.Target // not resolved
	// checkFirst means that the check after what is done may be due: the canaries are done,
	// or no stage is left.
	checkFirst bool
}

// prepare combines the settings of the earlier run with the flags given now.
func (f *againFlags) prepare(ctx context.Context, e *run.Earlier, h record.Header, stdio console.Stdio) (x repetition, err error) {
	if e.Info.Settings == nil && !f.assumeDefaults {
		return x, hint.Wrap(fmt.Errorf("the run %s was made by %s, which kept neither its brakes, rollout and rate nor its keys, trust and configuration",
			e.Info.Run, ui.Visible(e.Info.Program)),
			"give the flags that it had, and --assume-defaults for those that it had not")
	}
	if x.recalled, err = clirun.RecallSettings(e.Info, f.given, true, stdio.Err); err != nil {
		return x, err
	}
	if err := clirun.Recall(e.Info, f.given); err != nil {
		return x, err
	}
	if e.Info.Settings != nil && !x.recalled.Now["check"] {
		f.CheckDir = e.Info.Settings.Directory
	}
	if err := errors.Join(f.RemoteFlags.Validate(f.On(), &f.HostFlags, f.given.Changed), f.cluster.Validate(f.given, f.Jump, f.Kept())); err != nil { // before the password is read
		return x, err
	}
	opts, err := f.HostFlags.Options()
	opts.Engine.Notice = func(text string) { console.Note(stdio.Err, text) }
	if err == nil {
		err = x.recalled.TellFiles(&f.HostFlags, &opts, stdio.Err)
	}
	if err == nil {
		err = f.ControlFlags.Apply(&opts)
	}
	if err == nil && (x.recalled.Now["check"] || x.recalled.Now["pause"]) {
		err = f.CheckStages()
	}
	if err == nil {
		err = errors.Join(f.OutputFlags.Validate(), f.EndFlags.Validate())
	}
	if err != nil {
		return x, err
	}
	if !run.Copies(e.Info) {
		f.SetPTY(&opts, stdio)
		if err := f.SetAgent(&opts); err != nil {
			return repetition{}, err
		}
	}
	targets := e.Targets
	canary, err := clirun.ParseCanaries(f.Canary, hostsOf(targets), x.recalled.Now["canary"])
	if err != nil {
		return x, err
	}
	targets = slices.Collect(canary.First(slices.Values(targets)))
	first := canary.Stage(slices.Values(targets))
	opts.Engine.Rollout = append(first, opts.Engine.Rollout...)
	x.checkFirst = len(first) == 0 && len(f.Canary) > 0 || len(opts.Engine.Rollout) == 0
	opts.Engine.MaxOutput = f.OutputFlags.Kept()
	opts.Engine.Targets = len(targets)
	if err := opts.Validate(); err != nil {
		return x, err
	}
	if f.cluster.URL == "" {
		opts.Engine.Fanout = clirun.Fanout(opts.Engine.Fanout, len(targets), stdio)
	}
	h.Fanout = opts.Engine.Fanout
	x.recalled.Route(targets, &opts)
	if err := f.remember(x.recalled, &opts); err != nil {
		return x, err
	}
	x.Execution = clirun.Execution{
		Opts: opts, Output: &f.OutputFlags, StateDir: f.HostFlags.StateDir, Timeout: f.Timeout.Duration(),
		Header: h, Indexes: indexesOf(targets), InputSent: f.InputSent(), End: &f.EndFlags,
	}
	x.targets = targets
	return x, nil
}

// remember sets what the journal keeps about the new run: the earlier run's
// settings, except where a flag is given now.
func (f *againFlags) remember(r clirun.Recalled, opts *connect.Options) (err error) {
	earlier := r.Info
	if f.Settings, err = clirun.SettingsOf(f.given, f.keptNames, &f.HostFlags, opts, false); err != nil || earlier.Settings == nil {
		return err
	}
	if f.CheckDir != "" && (!r.Now["option"] || clirun.Elsewhere(f.SshOptions) == "") { // trust matters more than --check
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

func hostsOf(targets []fleet.Target) iter.Seq[fleet.Host] {
	return func(yield func(fleet.Host) bool) {
		for _, t := range targets {
			if !yield(t.Host) {
				return
			}
		}
	}
}
