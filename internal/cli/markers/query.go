package markers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/run"
)

// markerFlags are the flags of commands that ask the hosts about an earlier
// run.
type markerFlags struct {
	flags.HostFlags
	flags.BecomeFlags
	cluster clirun.ClusterFlags
	fanout  int
	given   *pflag.FlagSet // the command's whole flag set
}

// register adds the flags to cmd, and more groups of the command's own.
func (f *markerFlags) register(cmd *cobra.Command, more ...flags.FlagGroup) {
	asking := flags.NewGroup("Asking")
	asking.IntVarP(&f.fanout, "fanout", "f", 0, "ask `N` hosts at once (default: what files and memory allow)")
	clirun.WithAliases(cmd)
	f.given = cmd.Flags()
	connection, become := f.Connection(), f.Become()
	kept := clirun.KeptFlags(connection, become)
	workers := f.cluster.Group(&kept)
	flags.AddInGroups(cmd, append(append([]flags.FlagGroup{connection, become, asking}, more...), workers)...)
	flags.AsRecorded(cmd.Flags(), kept)
}

// A remoteQuery is an inquiry about an earlier run, with what has to be closed
// after it.
type remoteQuery struct {
	*run.Inquiry
	journal *journal.Journal
	plan    *connect.Plan   // of the targets to ask; nil: there are none
	workers *clirun.Workers // ask them; nil: this process does
	verbose *display.Verbose
}

// A readFunc is [run.ReadMarked] or [run.ReadDetached].
type readFunc func(ctx context.Context, j *journal.Journal, name string) (*journal.RunInfo, run.Remote, error)

// newRemoteQuery reads and locks the run, reads the targets that sel selects, and
// connects to ask them.
func newRemoteQuery(ctx context.Context, f *markerFlags, name string, read readFunc, sel journal.Selector, stdio console.Stdio) (_ *remoteQuery, err error) {
	j, err := clirun.OpenExisting(ctx, f.State())
	if err != nil {
		return nil, err
	}
	a := &remoteQuery{journal: j, verbose: display.NewVerbose(f.Verbose, stdio)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.end(console.ExitUsage))
		}
	}()
	info, _, err := read(ctx, j, name)
	if err != nil {
		return nil, err
	}
	recalled, err := clirun.RecallSettings(info, f.given, false, stdio.Err)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"become", "become-user", "become-method"} {
		if recalled.Now[name] {
			return nil, hint.Wrap(fmt.Errorf("--%s cannot change: the markers are those of the user as whom the run's commands ran", name), "leave it out")
		}
	}
	if _, err := f.BecomeOptions(f.given.Changed); err != nil {
		return nil, err
	}
	if err := f.cluster.Validate(f.given, f.Jump, 0); err != nil {
		return nil, err
	}
	opts, err := f.Options()
	if err != nil {
		return nil, err
	}
	if a.Inquiry, err = run.Inquire(ctx, j, info, sel); err != nil || len(a.Targets) == 0 {
		return a, err
	}
	opts.Engine.Verbose = a.verbose.Func()
	targets := slices.Clone(a.Targets)
	recalled.Route(targets, &opts)
	if a.workers, err = f.through(ctx, &opts, len(targets), stdio); err != nil {
		return nil, err
	}
	if a.plan, err = opts.Plan(ctx, slices.Values(targets), nil); err != nil {
		return nil, err
	}
	i := 0
	for t := range a.plan.Recorded() {
		if err := recalled.CheckPlace(a.Targets[i], t); err != nil {
			return nil, err
		}
		i++
	}
	e, err := a.plan.Engine(ctx)
	if err != nil {
		return nil, err
	}
	if b := a.Become(); b != nil {
		if err := f.ReadBecomePassword(ctx, b); err != nil {
			return nil, err
		}
	}
	return a, a.Reach(e, a.plan.Targets())
}

// through sets how many hosts are asked at once, and has workers ask them if the flags say so.
func (f *markerFlags) through(ctx context.Context, opts *connect.Options, total int, stdio console.Stdio) (*clirun.Workers, error) {
	if f.cluster.URL == "" {
		opts.Engine.Fanout = clirun.Fanout(f.fanout, total, stdio)
		flags.WarnInsecure(stdio.Err, *opts)
		return nil, nil
	}
	opts.Engine.Fanout = f.fanout
	return f.cluster.JoinToAsk(ctx, opts, total, stdio)
}

// end unlocks the run and closes the journal.
func (a *remoteQuery) end(code int) (err error) {
	defer a.verbose.Close()
	if a.plan != nil {
		a.plan.Close()
	}
	if a.workers != nil {
		a.workers.Close()
	}
	if a.Inquiry != nil {
		err = a.End(code)
	}
	return errors.Join(err, a.journal.Close())
}
