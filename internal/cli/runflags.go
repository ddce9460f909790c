package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal"
)

// runFlags are the flags of shoal run.
type runFlags struct {
	hostFlags
	controlFlags
	outputFlags
	journalFlags
	remoteFlags
	repeat             int
	list, dryRun, plan bool

	given     *pflag.FlagSet // all of them, as they were given
	keptNames []string       // the names of those that the journal keeps
}

// groups gives the flags in the groups in which help shows them.
func (f *runFlags) groups() []flagGroup {
	targets := f.targets()
	targets.IntVar(&f.repeat, "repeat", 1, "target each host `N` times")
	targets.BoolVarP(&f.list, "list-hosts", "q", false, "print the hosts, folded, and do nothing")
	targets.BoolVar(&f.dryRun, "dry-run", false, "print what would run where, how and why, and do nothing")
	targets.BoolVar(&f.plan, "plan", false, "print what the run would need of this machine, and do nothing")
	connection, control := f.connection(), f.control()
	f.keptNames = keptFlags(connection, control)
	return []flagGroup{targets, connection, control, f.remote(), f.output(), f.journal()}
}

// aliases are the names that other tools have for the same.
var aliases = map[string]string{"forks": "fanout", "parallel": "fanout"}

// register adds the flags to cmd, with help in groups.
func (f *runFlags) register(cmd *cobra.Command) {
	withAliases(cmd)
	// Flags stand before the command, so that the command may have its own.
	cmd.Flags().SetInterspersed(false)
	f.given = cmd.Flags()
	addInGroups(cmd, f.groups()...)
	for name, c := range map[string]*choice{
		"host-key": &f.hostKey, "progress": &f.progress, "pipeline": &f.pipeline, "pq": &f.postQuantum, "client": &f.client,
	} {
		// The only error is a flag that is not there.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// withAliases lets flags be called by the names of aliases.
func withAliases(cmd *cobra.Command) {
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if known, ok := aliases[name]; ok {
			name = known
		}
		return pflag.NormalizedName(name)
	})
}

// options are the library's, without what one run adds to them.
func (f *runFlags) options() (shoal.Options, error) {
	o, err := f.hostFlags.options()
	if err != nil {
		return o, err
	}
	if err := f.controlFlags.apply(&o); err != nil {
		return o, err
	}
	o.MaxOutput = f.kept()
	known := o
	known.Engine.Targets = 1 // shares need a number, which is not known yet
	return o, known.Validate()
}

// validate finds flags that cannot go together.
func (f *runFlags) validate(command string) error {
	if err := f.remoteFlags.validate(f.on()); err != nil {
		return err
	}
	f.key = newMarkerKey()
	f.journalFlags.options = f.remembered()
	switch err := f.outputFlags.validate(); {
	case err != nil:
		return err
	case f.repeat < 1:
		return fmt.Errorf("--repeat %d: each host is targeted once at least", f.repeat)
	case strings.TrimSpace(command) == "" && !f.list && !f.plan:
		return fmt.Errorf("no command to run\nhint: it stands after the flags: shoal run -w web[1-3] uptime")
	}
	return nil
}
