package config

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// New returns shoal config.
func New(sources *Sources, tree func() *cobra.Command, stdio console.Stdio) *cobra.Command {
	config := &cobra.Command{
		Use: "config", Short: "Show the configuration of shoal, and where each value comes from", Args: cobra.NoArgs,
		Long: "Show the configuration of shoal; shoal help configuration says what a file may have.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var all bool
	show := &cobra.Command{
		Use:   "show [flags] [COMMAND [FLAGS]]",
		Short: "Show each value, and where it comes from",
		Long: `Show what the configuration has, and in which file and line. With a command, show
the value of each of its flags and where that comes from: a flag behind COMMAND, a
named fleet, a SHOAL_* variable, a file. Whatever is wrong with the configuration
is said. Nothing is run.`,
		Example: "  shoal config show\n  shoal config show run\n  shoal config show --all run --fleet prod -f 50",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := sources.Load(tree)
			if err != nil {
				return err
			}
			for _, note := range c.notes {
				console.Note(stdio.Err, note)
			}
			if len(args) == 0 {
				return c.show(stdio.Out)
			}
			return c.showCommand(tree(), args, all, stdio.Out)
		},
	}
	show.Flags().SetInterspersed(false)
	show.Flags().BoolVar(&all, "all", false, "also what has its default (with COMMAND)")
	config.AddCommand(show)
	return config
}

// show prints what files and variables have.
func (c *Config) show(w io.Writer) error {
	var b bytes.Buffer
	read := make(map[string]bool)
	for _, f := range c.files {
		read[f.path] = true
	}
	for _, path := range c.looked {
		state := "absent"
		if _, err := os.Stat(path); err == nil && read[path] {
			state = "read"
		}
		fmt.Fprintf(&b, "# %s: %s\n", ui.Visible(short(path, c.homeDir)), state)
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0) // Flush has its errors
	write := func(title string, s section) {
		if title != "" {
			_, _ = fmt.Fprintf(table, "\n[%s]\n", title)
		}
		for _, name := range slices.Sorted(maps.Keys(s)) {
			_, _ = fmt.Fprintf(table, "%s = %s\t# %s\n", strings.TrimPrefix(name, ":"), words(s[name]), ui.Visible(s[name].from))
		}
	}
	if len(c.env) > 0 {
		_, _ = fmt.Fprintln(table, "\n# variables")
		write("", c.env)
	}
	for _, f := range c.files {
		if len(f.top) > 0 {
			_, _ = fmt.Fprintln(table)
		}
		write("", f.top)
		for _, path := range slices.Sorted(maps.Keys(f.defaults)) {
			write(dotted("defaults "+path), f.defaults[path])
		}
	}
	for _, kind := range []struct {
		title string
		all   map[string]section
	}{{"fleets", c.definitions(fleetsOf)}, {"commands", c.definitions(commandsOf)}} {
		for _, name := range slices.Sorted(maps.Keys(kind.all)) {
			write(kind.title+"."+name, kind.all[name])
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, name := range c.unused {
		fmt.Fprintf(&b, "\n# %s is no flag, and sets nothing\n", ui.Visible(name))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func dotted(path string) string {
	return string(bytes.ReplaceAll(bytes.TrimSpace([]byte(path)), []byte(" "), []byte(".")))
}

// showCommand prints the flags of a command, and where each value is from.
func (c *Config) showCommand(root *cobra.Command, args []string, all bool, w io.Writer) error {
	command := ""
	if len(args) > 1 && args[0] == doName {
		command, args = args[1], slices.Concat([]string{"run"}, args[2:])
	}
	cmd, rest, err := root.Find(args)
	if err != nil || cmd == root {
		return console.UnknownCommand(root, args[0], "shoal --help lists the commands")
	}
	if !configured(cmd) {
		return hint.Wrap(fmt.Errorf("shoal %s reads no configuration", args[0]), "shoal help configuration says which commands do")
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return fmt.Errorf("shoal %s: %w", pathOf(cmd), err)
	}
	set, err := c.apply(cmd, command)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) // Flush has its errors
	for _, name := range []string{keyCommand, keyConfirm, keyConfirmAbove} {
		if v, ok := set.set[name]; ok && cmd.Flags().Lookup("yes") != nil {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", name[1:], words(v), ui.Visible(v.from))
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		from := "default"
		v, ours := set.set[f.Name]
		switch {
		case f.Hidden || f.Name == "help":
			return
		case ours:
			from = v.from
		case f.Changed:
			from = "flag"
		case flags.Recorded(f):
			from = "the journal, as the run had it"
		}
		if from == "default" && !all || flags.Recorded(f) && !f.Changed && !all {
			return
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, words(value{texts: texts(f)}), ui.Visible(from))
	})
	return table.Flush()
}

func texts(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}
