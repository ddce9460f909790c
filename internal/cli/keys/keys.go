// Package keys implements shoal keys: collect the host keys of many hosts,
// compare them with known_hosts, and add what a person approves. Host-key
// checks during a run are in internal/ssh/hostkeys.
package keys

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/ssh/hostkeys/scan"
)

// New returns shoal keys with its subcommands.
func New(stdio console.Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Collect the host keys of a fleet, compare them with known_hosts, approve them",
		Long: `Collect the host keys of a fleet, compare them with what known_hosts says, and
write down what you have looked at. No host is logged in to, but for jump hosts on
the way: a connection ends once the server has proved that the key is its own.

A scan proves nothing by itself: whoever sits between you and a host shows a key
of his own. Compare the fingerprints with those that the hosts print of
themselves (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub).`,
		Example: `  shoal keys scan --hostfile hosts --output scan       what every host shows
  shoal keys diff scan                                 what known_hosts knows
  shoal keys approve scan                              write down what is right`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysScan(stdio), newKeysDiff(stdio), newKeysApprove(stdio))
	return cmd
}

// keysFlags are the flags common to all subcommands of shoal keys.
type keysFlags struct {
	flags.HostFlags
	naming *pflag.FlagSet // those of hostFlags that name hosts
	types  []string

	fanout, dials, starts int
	timeout               flags.Seconds
	progress              flags.Choice
}

// register adds the flags to cmd in groups, with the command's own group last.
func (f *keysFlags) register(cmd *cobra.Command, own func(g flags.FlagGroup)) {
	targets := f.Targets()
	f.naming = targets.FlagSet

	control := flags.NewGroup("Control")
	control.StringSliceVar(&f.types, "types", nil, "ask each host for its key of each of these `TYPES`, a connection each: ed25519, ecdsa, rsa or all (default: the one key that a run is shown)")
	control.VarP((*flags.Count)(&f.fanout), "fanout", "f", "work on `N` hosts at once (default: what files and memory allow)")
	control.IntVar(&f.dials, "dials", 0, fmt.Sprintf("start `N` connections at once (default %d, and more where only the way or the servers take long)", engine.DefaultDials))
	control.IntVar(&f.starts, "starts-per-host", 0, fmt.Sprintf("start `N` connections at once to one server; -1 for no limit (default %d)", engine.DefaultStarts))
	control.Var(&f.timeout, "timeout", "stop the whole scan after this time (default: never)")

	output := flags.NewGroup("Output")
	own(output)
	display.AddProgress(output, &f.progress)

	flags.AddInGroups(cmd, targets, f.Connection(), control, output)
}

// validate returns an error for flags that exclude each other. file reports
// whether the keys are read from a file.
func (f *keysFlags) validate(file bool) error {
	if _, err := keyTypes(f.types); err != nil {
		return err
	}
	if f.starts < -1 {
		return fmt.Errorf("--starts-per-host %d: write -1 for no limit", f.starts)
	}
	if !file {
		return nil
	}
	var needless string
	f.naming.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed {
			needless = "--" + flag.Name
		}
	})
	if len(f.types) > 0 {
		needless = "--types"
	}
	if needless != "" {
		return hint.Wrap(fmt.Errorf("a file of scanned keys and %s cannot go together", needless),
			"leave out the file to scan the hosts now")
	}
	return nil
}

// keyTypes parses --types into the algorithms to offer on each connection. An
// empty result means one connection per host, for the key that a run would see.
func keyTypes(words []string) ([][]string, error) {
	types := scan.KeyTypes()
	named := map[string][]string{"ed25519": types[0], "ecdsa": types[1], "rsa": types[2]}
	if slices.Contains(words, "all") {
		return types, nil
	}
	var chosen [][]string
	for i, word := range words {
		algorithms, ok := named[word]
		if !ok {
			return nil, hint.Wrap(fmt.Errorf("--types %q: no such type of host keys", word), "there are ed25519, ecdsa, rsa and all")
		}
		if !slices.Contains(words[:i], word) {
			chosen = append(chosen, algorithms)
		}
	}
	return chosen, nil
}
