package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal"
	"shoal/engine"
)

// runFlags are the flags of shoal run.
type runFlags struct {
	hostFlags
	repeat       int
	list, dryRun bool

	// control
	fanout, dials, starts int
	commandTimeout        seconds
	timeout               seconds

	// output
	gathered, gatheredApart bool
	noPrefix, ordered, json bool
	outdir                  string
	maxOutput               size
	progress                choice
}

// groups gives the flags in the groups in which help shows them.
func (f *runFlags) groups() []flagGroup {
	targets := f.targets()
	targets.IntVar(&f.repeat, "repeat", 1, "target each host `N` times")
	targets.BoolVarP(&f.list, "list-hosts", "q", false, "print the hosts, folded, and do nothing")
	targets.BoolVar(&f.dryRun, "dry-run", false, "print what would run where, and do nothing")

	control := newGroup("Control")
	control.IntVarP(&f.fanout, "fanout", "f", 0, "work on `N` targets at once (default: what files and memory allow)")
	control.IntVar(&f.dials, "dials", 0, fmt.Sprintf("start `N` connections at once (default %d)", engine.DefaultDials))
	control.IntVar(&f.starts, "starts-per-host", 0, fmt.Sprintf("start `N` connections at once to one server; -1 for no limit (default %d)", engine.DefaultStarts))
	control.VarP(&f.commandTimeout, "command-timeout", "u", "give up on a command after this time; it may go on there (default: never)")
	control.Var(&f.timeout, "timeout", "stop the whole run after this time (default: never)")

	output := newGroup("Output")
	output.BoolVarP(&f.gathered, "gather", "b", false, "show equal output once, under the folded names of its hosts")
	output.BoolVarP(&f.gatheredApart, "gather-apart", "B", false, "as -b, with standard error apart")
	output.BoolVarP(&f.noPrefix, "no-prefix", "N", false, "no host name before each line")
	output.BoolVarP(&f.ordered, "in-order", "L", false, "show results in the order of the input")
	output.StringVar(&f.outdir, "outdir", "", "write each target's output into files in the new directory `DIR`")
	output.BoolVar(&f.json, "json", false, "write JSON lines, one per target")
	f.maxOutput = engine.DefaultMaxOutput
	output.Var(&f.maxOutput, "max-output", "keep this much of each stream of each target; 0 for all")
	f.progress = choice{value: "auto", words: []string{"auto", "always", "never"}}
	output.VarP(&f.progress, "progress", "P", "the progress line; auto shows it on a terminal")
	output.Lookup("progress").NoOptDefVal = "always"
	return []flagGroup{targets, f.connection(), control, output}
}

// aliases are the names that other tools have for the same.
var aliases = map[string]string{"forks": "fanout", "parallel": "fanout"}

// register adds the flags to cmd, with help in groups.
func (f *runFlags) register(cmd *cobra.Command) {
	groups := f.groups()
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.FlagSet)
	}
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if known, ok := aliases[name]; ok {
			name = known
		}
		return pflag.NormalizedName(name)
	})
	// Flags stand before the command, so that the command may have its own.
	cmd.Flags().SetInterspersed(false)
	helpInGroups(cmd, groups)
	for name, c := range map[string]*choice{
		"host-key": &f.hostKey, "progress": &f.progress, "pipeline": &f.pipeline, "pq": &f.postQuantum, "client": &f.client,
	} {
		// The only error is a flag that is not there.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// options are the library's, without what one run adds to them.
func (f *runFlags) options() (shoal.Options, error) {
	o, err := f.hostFlags.options()
	if err != nil {
		return o, err
	}
	o.Fanout, o.Dials, o.Starts = f.fanout, f.dials, f.starts
	o.Timeouts.Command = f.commandTimeout.duration()
	o.MaxOutput = int64(f.maxOutput)
	if f.maxOutput == 0 {
		o.MaxOutput = -1
	}
	return o, o.Validate()
}

// validate finds flags that cannot go together.
func (f *runFlags) validate(command string) error {
	var shapes []string
	for _, s := range []struct {
		set  bool
		flag string
	}{{f.gathered, "-b"}, {f.gatheredApart, "-B"}, {f.json, "--json"}} {
		if s.set {
			shapes = append(shapes, s.flag)
		}
	}
	switch {
	case len(shapes) > 1:
		return fmt.Errorf("%s cannot go together\nhint: choose one of them", strings.Join(shapes, " and "))
	case f.repeat < 1:
		return fmt.Errorf("--repeat %d: each host is targeted once at least", f.repeat)
	case f.starts < -1:
		return fmt.Errorf("--starts-per-host %d: write -1 for no limit", f.starts)
	case strings.TrimSpace(command) == "" && !f.list:
		return fmt.Errorf("no command to run\nhint: it stands after the flags: shoal run -w web[1-3] uptime")
	}
	return nil
}
