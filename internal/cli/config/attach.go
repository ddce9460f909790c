package config

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
)

// asking are the commands that start something on hosts, and ask before if the configuration
// says so.
var asking = []string{"run", "script", "push", "pull", "rerun", "resume", "watch", "shell"}

// An Attachment connects the commands of a program to the configuration.
type Attachment struct {
	sources Sources
	before  Sources // as they were before flags were parsed
	tree    func() *cobra.Command
	stdio   console.Stdio
	yes     bool
	fleet   string
}

// Attach has the commands below root take the configuration before they run. tree makes the same
// commands again, to check the configuration with.
func Attach(root *cobra.Command, sources Sources, tree func() *cobra.Command, stdio console.Stdio) *Attachment {
	a := &Attachment{sources: sources, before: sources, tree: tree, stdio: stdio}
	root.PersistentFlags().StringVar(&a.sources.Path, "config-file", sources.Path, "read the configuration of shoal from `FILE` and from nowhere else; none for no file (default: ~/.config/shoal/config.toml and /etc/shoal/config.toml)")
	root.PersistentFlags().BoolVar(&a.sources.None, "no-config", sources.None, "read no configuration of shoal, and no SHOAL_* variables; ssh_config is -F")
	root.AddCommand(New(&a.sources, tree, stdio))
	(&commands{root: root}).each(func(cmd *cobra.Command) {
		AddFlags(cmd, &a.fleet, &a.yes)
		if cmd.Flags().Lookup("fleet") != nil {
			_ = cmd.RegisterFlagCompletionFunc("fleet", completeFleet) // it exists
		}
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.run(cmd, args, run) }
	})
	return a
}

// AddFlags adds --fleet to a command that names hosts, and --yes to one that asks.
func AddFlags(cmd *cobra.Command, fleet *string, yes *bool) {
	groups := flags.GroupsOf(cmd)
	if cmd.Flags().Lookup("hosts-from") != nil {
		g := flags.NewGroup("Targets")
		g.StringVar(fleet, "fleet", "", "hosts and how to reach them as the configuration has it for the fleet `NAME`")
		flags.AddInGroups(cmd, g)
	}
	if first, _, _ := strings.Cut(pathOf(cmd), " "); slices.Contains(asking, first) {
		g := flags.NewGroup(groups[0].Title())
		g.BoolVarP(yes, "yes", "y", false, "start without the question that the configuration wants (confirm, confirm-above)")
		flags.AddInGroups(cmd, g)
	}
}

// run runs a command with the configuration.
func (a *Attachment) run(cmd *cobra.Command, args []string, run func(*cobra.Command, []string) error) error {
	command := ""
	if cmd.Parent().Name() == doName {
		command = cmd.Name()
		if a.sources != a.before {
			return hint.New("--config-file and --no-config stand behind the name of a command that the configuration has", "write them before it: shoal do --config-file FILE "+command)
		}
	}
	c, err := a.sources.Load(a.tree)
	if err != nil {
		return err
	}
	for _, note := range c.notes {
		console.Note(a.stdio.Err, note)
	}
	set, err := c.apply(cmd, command)
	if err != nil {
		return err
	}
	r, err := set.rules(&a.yes)
	if err != nil {
		return err
	}
	cmd.SetContext(context.WithValue(cmd.Context(), rulesKey{}, r))
	if v, ok := set.set[keyCommand]; ok {
		args = append(slices.Clone(v.texts), args...)
	}
	return set.explain(cmd, run(cmd, args))
}

// explain adds to an error where the flags that it names come from, if nobody typed them.
func (a *applied) explain(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[console.ExitError](err); ok {
		return err
	}
	text, advice := hint.Split(err.Error())
	var notes []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		v, ok := a.set[f.Name]
		if ok && (mentions(text, "--"+f.Name) || f.Shorthand != "" && mentions(text, "-"+f.Shorthand)) {
			notes = append(notes, fmt.Sprintf("--%s is from %s", f.Name, v.from))
		}
	})
	if len(notes) == 0 {
		return err
	}
	return hint.Wrap(&explained{err, text + "\n" + strings.Join(notes, "\n")}, advice)
}

func mentions(text, flag string) bool {
	return regexp.MustCompile(`(^|[^-\w])` + regexp.QuoteMeta(flag) + `($|[^-\w])`).MatchString(text)
}

// An explained is an error with more text.
type explained struct {
	error
	text string
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.error }
