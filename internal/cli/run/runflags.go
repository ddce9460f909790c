package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/placeholder"
	"shoal/internal/transfer"
)

// RunFlags are the flags of shoal run.
type RunFlags struct {
	flags.HostFlags
	ControlFlags
	display.OutputFlags
	JournalFlags
	RemoteFlags
	EndFlags
	cluster                ClusterFlags
	repeat                 int
	list, dryRun, estimate bool
	script                 string // a file; "" runs a command
	browse                 bool
	rerun                  func(ctx context.Context, args []string) error // for Execution.Rerun
	// placeholders and noPlaceholders say which placeholders of the command are replaced.
	placeholders, noPlaceholders bool

	Given     *pflag.FlagSet // the command's whole flag set
	KeptNames []string       // the names of the flags that the journal keeps
}

// groups returns the flags in the groups that help shows, with those that only a command
// given as text has.
func (f *RunFlags) groups(text bool) []flags.FlagGroup {
	targets := f.Targets()
	targets.IntVar(&f.repeat, "repeat", 1, "target each host `N` times")
	targets.BoolVarP(&f.list, "list-hosts", "q", false, "print the hosts, folded, and do nothing")
	targets.BoolVar(&f.dryRun, "dry-run", false, "print what would run where, how and why, and do nothing")
	targets.BoolVar(&f.estimate, "estimate", false, "print what the run would need of this machine, and do nothing")
	command, connection, become, control := f.Command(), f.Connection(), f.Become(), f.Control()
	f.KeptNames = KeptFlags(command, connection, become, control)
	if text {
		targets.BoolVar(&f.placeholders, "placeholders", false, "replace {host} and the like in the command within quotes too")
		targets.BoolVar(&f.noPlaceholders, "no-placeholders", false, "send the command as typed, and replace nothing in it")
		command.StringVar(&f.script, "script", "", "run the local `FILE` in place of a command; its arguments stand after -- (see shoal script)")
	}
	shown := f.WithSpool(f.WithFollow(f.WithTimestamps(f.Output())))
	shown.BoolVar(&f.browse, "browse", false, "show the run in a browser on the whole screen (see shoal browse), also after its end")
	groups := []flags.FlagGroup{targets, command, connection, become, control, f.Remote(), shown, f.Journal(f.State), f.Ending()}
	return append(groups, f.cluster.Group(&f.KeptNames))
}

// RegisterCopy adds the flags of a run that copies files, with the command's own.
func (f *RunFlags) RegisterCopy(cmd *cobra.Command, own flags.FlagGroup) {
	WithAliases(cmd)
	f.Given, f.repeat, f.placeholders = cmd.Flags(), 1, true
	targets := f.Targets()
	targets.BoolVarP(&f.list, "list-hosts", "q", false, "print the hosts, folded, and do nothing")
	if own.Lookup("dry-run") == nil { // a push asks the hosts
		targets.BoolVar(&f.dryRun, "dry-run", false, "print what would go where, and how, and do nothing")
	}
	connection, become, control := f.Connection(), f.Become(), f.Control()
	f.KeptNames = KeptFlags(connection, become, control)
	flags.AddInGroups(cmd, targets, own, connection, become, control, f.WithTimestamps(f.Output()), f.Journal(f.State), f.Ending(), f.cluster.Group(&f.KeptNames))
	CompleteTargets(cmd, &f.HostFlags)
}

// Copy pushes or pulls files. there is the path on the hosts, which may have placeholders;
// title is how the run is recorded.
func (f *RunFlags) Copy(ctx context.Context, push *transfer.Push, pull *transfer.Pull, there, title string, stdio console.Stdio) error {
	if err := errors.Join(f.SetCopy(push, pull), f.validate(there), f.cluster.SetCopy(push, pull)); err != nil {
		return err
	}
	return f.Run(ctx, there, title, stdio)
}

// aliases maps the names that other tools use, and former names, to ours.
var aliases = map[string]string{"forks": "fanout", "parallel": "fanout", "plan": "estimate"}

// Register adds the flags to cmd, with help in groups.
func (f *RunFlags) Register(cmd *cobra.Command) {
	// Flags stand before the command, so that the command may have its own.
	cmd.Flags().SetInterspersed(false)
	f.register(cmd, true)
}

func (f *RunFlags) register(cmd *cobra.Command, text bool) {
	WithAliases(cmd)
	f.Given = cmd.Flags()
	flags.AddInGroups(cmd, f.groups(text)...)
	CompleteTargets(cmd, &f.HostFlags)
}

// WithAliases makes cmd accept the names in aliases.
func WithAliases(cmd *cobra.Command) {
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if known, ok := aliases[name]; ok {
			name = known
		}
		return pflag.NormalizedName(name)
	})
}

// where says which placeholders are replaced.
func (f *RunFlags) where() placeholder.Where {
	switch {
	case f.noPlaceholders || f.Wrapper.Script != nil:
		return placeholder.Never
	case f.placeholders:
		return placeholder.Everywhere
	}
	return placeholder.Unquoted
}

// options returns the library's options, without those that only one run has.
func (f *RunFlags) options() (connect.Options, error) {
	o, err := f.HostFlags.Options()
	if err != nil {
		return o, err
	}
	if err := f.ControlFlags.Apply(&o); err != nil {
		return o, err
	}
	o.Engine.MaxOutput = f.Kept()
	return o, o.Validate()
}

// validate returns an error for flags that exclude each other.
func (f *RunFlags) validate(command string) error {
	if err := errors.Join(f.RemoteFlags.Validate(f.On(), &f.HostFlags, f.Given.Changed), f.CheckStages(), f.EndFlags.Validate(), f.cluster.Validate(f.Given, f.Jump, f.Kept())); err != nil {
		return err
	}
	switch err := f.OutputFlags.Validate(); {
	case err != nil:
		return err
	case f.placeholders && f.noPlaceholders:
		return fmt.Errorf("--placeholders and --no-placeholders cannot go together")
	case f.placeholders && f.Wrapper.Script != nil:
		return hint.New("--placeholders is for commands: the arguments of a script are sent as they are", "leave it out")
	case f.repeat < 1:
		return fmt.Errorf("--repeat %d: each host is targeted once at least", f.repeat)
	case strings.TrimSpace(command) == "" && !f.list && !f.estimate:
		return hint.New("no command to run", "it stands after the flags: shoal run -w web[1-3] uptime")
	}
	return nil
}
