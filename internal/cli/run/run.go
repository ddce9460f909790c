// Package run implements shoal run and what rerun, resume and the marker
// commands share with it: the flags of a run, its journal, settings, keyboard
// controls and display. The work itself is done by package shoal and
// internal/engine.
package run

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/config"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/output"
	"shoal/internal/placeholder"
	"shoal/internal/run"
	"shoal/internal/runstate"
	"shoal/internal/ui"
	"shoal/record"
)

// New returns shoal run. rerun runs shoal rerun, for --browse.
func New(stdio console.Stdio, rerun func(ctx context.Context, args []string) error) *cobra.Command {
	f := RunFlags{rerun: rerun}
	cmd := &cobra.Command{
		Use:   "run [flags] COMMAND...",
		Short: "Run a command on many hosts and tell what happened on each",
		Long: `Run a command on many hosts over SSH and tell what happened on each.

COMMAND is given to the login shell of each host. {host}, {user}, {port},
{index} and {attr.NAME} are replaced for each target where they stand outside
quotes and not behind $, { or \; {host|sh} is replaced everywhere, and quoted.

A source (--hostfile, -i, --config-hosts, --hosts-from) says which hosts exist;
-w, -g and -a choose from it, or name hosts that no source has. Without them all
are chosen; --limit, --where, -x and --pick narrow the choice.

` + steering,
		Example: `  shoal run -w web[01-20] uptime
  shoal run --hostfile hosts -b 'uname -r'
  shoal run -w db[1-3],root@cache1:2222 -L 'echo {index} {host|sh}'
  shoal run -w - --outdir results 'cat /etc/os-release' < hosts`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.IsGiven(f.Given, "script") {
				if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
					return hint.New("--script runs a file in place of a command, and a command is there too", "arguments of the script stand after --")
				}
				return f.runScript(cmd.Context(), f.script, args, stdio)
			}
			return runCommand(cmd.Context(), &f, strings.Join(args, " "), stdio)
		},
	}
	f.Register(cmd)
	return cmd
}

// runCommand implements shoal run.
func runCommand(ctx context.Context, f *RunFlags, text string, stdio console.Stdio) error {
	if err := f.validate(text); err != nil {
		return err
	}
	return f.Run(ctx, text, text, stdio)
}

// A request is a run as the flags ask for it.
type request struct {
	opts     connect.Options
	title    string // how it is recorded
	total    int    // targets
	targets  iter.Seq[fleet.Target]
	template *placeholder.Template
	verbose  *display.Verbose // nil without -v
}

// Run runs a command, or what else Wrapper has for the targets; title is how it is recorded. All
// errors in flags and inventory are found before anything starts.
func (f *RunFlags) Run(ctx context.Context, text, title string, stdio console.Stdio) error {
	if err := f.checkBrowse(stdio); err != nil {
		return err
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	f.SetPTY(&opts, stdio)
	if err := f.SetAgent(&opts); err != nil {
		return err
	}
	verbose := display.NewVerbose(f.HostFlags.Verbose, stdio)
	defer verbose.Close()
	opts.Engine.Verbose = verbose.Func()
	list, err := f.Load(ctx, &opts, stdio)
	if err != nil {
		return err
	}
	q := &request{opts: opts, title: title, total: list.Len() * f.repeat, verbose: verbose}
	q.opts.Engine.Targets = q.total
	switch {
	case f.list:
		_, err := fmt.Fprintln(stdio.Out, expr.Fold(Names(slices.Collect(list.Hosts()))))
		return err
	case f.estimate:
		f.TellCommand(stdio.Err)
		return printEstimate(stdio.Out, q.opts, q.total)
	}
	if q.template, err = placeholder.Parse(text, f.where()); err != nil {
		return fmt.Errorf("reading the command: %w", err)
	}
	for _, n := range q.template.Notices() {
		console.Note(stdio.Err, n)
	}
	canary, err := ParseCanaries(f.Canary, list.Hosts(), true)
	if err != nil {
		return err
	}
	q.targets = canary.First(list.Targets(f.repeat))
	q.opts.Engine.Rollout = append(canary.Stage(q.targets), q.opts.Engine.Rollout...)
	if f.dryRun {
		return f.tellPlan(ctx, q, stdio)
	}
	return f.start(ctx, q, stdio)
}

// tellPlan prints what would run where, and how.
func (f *RunFlags) tellPlan(ctx context.Context, q *request, stdio console.Stdio) error {
	f.TellCommand(stdio.Err)
	if f.cluster.URL != "" {
		if err := f.cluster.TellWorkers(ctx, q.targets, stdio); err != nil {
			return err
		}
	}
	return DryRun(ctx, stdio, q.opts, q.targets, func(t fleet.Target) (string, error) {
		return q.template.Expand(t), q.template.Check(t)
	})
}

// start asks a person what has to be asked, reads what the hosts get, and runs the commands.
func (f *RunFlags) start(ctx context.Context, q *request, stdio console.Stdio) error {
	if err := config.Confirm(ctx, q.title, q.targets, true, stdio); err != nil {
		return err
	}
	if err := f.ReadBecomePassword(ctx, f.Wrapper.Become); err != nil {
		return err
	}
	Withhold(&q.opts, f.Wrapper)
	input, err := f.OpenInput(ctx, stdio)
	if err != nil {
		return err
	}
	defer func() { _ = input.Close() }()
	flags.WarnInsecure(stdio.Err, q.opts)
	var workers *Workers
	if f.cluster.URL == "" {
		q.opts.Engine.Fanout = Fanout(q.opts.Engine.Fanout, q.total, stdio)
	} else {
		if workers, err = f.cluster.Join(ctx, &q.opts, q.total, stdio); err != nil {
			return err
		}
		defer workers.Close()
	}
	planned, err := q.opts.Plan(ctx, q.targets, q.template)
	if err != nil {
		return err
	}
	defer planned.Close()
	if f.On() {
		if f.Settings, err = SettingsOf(f.Given, f.KeptNames, &f.HostFlags, &q.opts, f.NoCommand()); err != nil {
			return err
		}
	}
	j, err := f.JournalFlags.Open(ctx)
	if err != nil {
		return err
	}
	return Execute(ctx, f.execution(q, planned, j, workers), stdio)
}

// execution returns the run, with its targets planned. workers may be nil.
func (f *RunFlags) execution(q *request, planned *connect.Plan, j *journal.Journal, workers *Workers) Execution {
	x := Execution{
		Opts: q.opts, Output: &f.OutputFlags, Journal: j, StateDir: f.HostFlags.StateDir, Timeout: f.Timeout.Duration(),
		Plan: planned, Verbose: q.verbose, InputSent: f.InputSent(), End: &f.EndFlags, Workers: workers,
		Browse: f.browse, Rerun: f.rerun, Kills: f.Wrapper.KillOnCancel,
		Header: record.Header{
			Program: "shoal " + console.Version,
			Started: time.Now(),
			Command: q.title,
			Targets: q.total,
			Fanout:  q.opts.Engine.Fanout,
		},
	}
	x.Begin = func(ctx context.Context) (*run.Run, error) {
		r, err := run.Begin(ctx, j, f.Info(x.Header), f.Wrapper, planned)
		if err != nil {
			err = hint.Wrap(err, "--no-journal runs without one")
		}
		return r, err
	}
	if workers != nil {
		x.Begin = workers.Begin(x.Begin)
	}
	return x
}

// Fanout returns the fanout that was asked for, or what this machine can carry;
// it prints a note if that limits the run.
func Fanout(asked, total int, stdio console.Stdio) int {
	carried := engine.DefaultFanout()
	switch {
	case asked > carried.Fanout && total > carried.Fanout:
		console.Say(stdio.Err, "-f %s is more than this machine carries: %s, for %s",
			ui.Count(int64(asked)), ui.Count(int64(carried.Fanout)), carried.Bound)
	case asked == 0 && total > carried.Fanout:
		console.Say(stdio.Err, "%s targets at a time, for %s", ui.Count(int64(carried.Fanout)), carried.Bound)
	}
	return cmp.Or(asked, carried.Fanout)
}

// sayStopping says what a stop means, and for whom.
func sayStopping(w io.Writer, s *runstate.State, aborting bool) {
	if aborting {
		console.Say(w, "aborting: commands that run are abandoned and may go on where they run")
		return
	}
	console.Say(w, "stopping: no command is started any more, those that run are waited for; Ctrl-C twice within a second aborts")
	if left := output.PhasesText(s, time.Now(), namesAtStop); left != "" {
		console.Say(w, "in flight: %s", left)
	}
}

// namesAtStop is how many columns the names of the hosts that do the same have in the message
// at a stop.
const namesAtStop = 200

// Names returns the names of the hosts.
func Names(hosts []fleet.Host) []string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.String()
	}
	return names
}
