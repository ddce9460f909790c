package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

const doName = "do"

// NewDo returns shoal do. It has a command below it for each one that the configuration names, if
// args ask for one; newRun makes shoal run.
func NewDo(args []string, sources Sources, tree func() *cobra.Command, newRun func() *cobra.Command) *cobra.Command {
	var c *Config
	var failed error
	if slices.Contains(args, doName) {
		c, failed = sources.Load(tree)
	}
	do := &cobra.Command{
		Use:   doName + " NAME [flags] [WORD...]",
		Short: "Run a command that the configuration has a name for",
		Long: `Run a command that the configuration has a name for, as shoal run does, with the
flags that it has there. Flags that are typed count instead of those. Words behind
are added to the command.

The file ~/.config/shoal/config.toml may have, for example,

  [commands.restart]
  about = "restart a service, a tenth of the hosts at a time"
  command = "systemctl restart"
  rollout = "1,10%,100%"
  max-fail = 2

so that shoal do restart -w 'web[01-20]' nginx restarts nginx.`,
		Example: "  shoal do\n  shoal do restart -w 'web[01-20]' nginx\n  shoal do restart --help",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if failed != nil {
				return failed
			}
			if len(args) > 0 {
				return console.UnknownCommand(cmd, args[0], "[commands."+ui.Visible(args[0])+"] in a configuration file makes it; shoal config show lists what there is")
			}
			if !cmd.HasAvailableSubCommands() {
				return hint.New("the configuration has no named commands", "shoal do --help shows how to write one")
			}
			return cmd.Help()
		},
	}
	if c == nil || failed != nil {
		return do
	}
	all := c.definitions(commandsOf)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		do.AddCommand(named(name, all[name], newRun()))
	}
	return do
}

// named makes shoal run a command of the configuration.
func named(name string, s section, cmd *cobra.Command) *cobra.Command {
	what, from := s[keyCommand], s[keyCommand].from
	if len(what.texts) == 0 {
		what, from = s["script"], s["script"].from
	}
	text := strings.ReplaceAll(ui.Visible(what.texts[0]), "\n", " ")
	cmd.Use = name + " [flags] [WORD...]"
	cmd.Short = ui.Truncate(text, 60)
	if about := s[keyAbout]; len(about.texts) > 0 {
		cmd.Short = ui.Visible(about.texts[0])
	}
	var set []string
	for _, flag := range slices.Sorted(maps.Keys(s)) {
		if flag != keyCommand && flag != keyAbout {
			set = append(set, "  "+strings.TrimPrefix(flag, ":")+" = "+ui.Visible(strings.Join(s[flag].texts, ", ")))
		}
	}
	cmd.Long = cmd.Short + "\n\nIt runs this command (" + from + "):\n\n  " + text
	if len(set) > 0 {
		cmd.Long += "\n\nwith\n\n" + strings.Join(set, "\n")
	}
	cmd.Example = ""
	return cmd
}

// SourcesOf returns the sources that the flags before the name of a command say; the flags of the
// command are parsed later.
func SourcesOf(args []string) (s Sources) {
	for i := 0; i < len(args); i++ {
		word := args[i]
		path, isPath := strings.CutPrefix(word, "--config-file=")
		switch {
		case isPath:
			s.Path = path
		case word == "--config-file" && i+1 < len(args):
			i++
			s.Path = args[i]
		case word == "--no-config":
			s.None = true
		case word == doName, strings.HasPrefix(word, "__complete"), word == "help":
		case !strings.HasPrefix(word, "-"):
			return s
		}
	}
	return s
}

// words returns what is shown of values.
func words(v value) string { return ui.Visible(cmp.Or(strings.Join(v.texts, ", "), `""`)) }
