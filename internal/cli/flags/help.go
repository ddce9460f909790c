package flags

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/ui"
)

// A CommandGroup is a heading of a program's list of commands, and the names
// below it in order.
type CommandGroup struct {
	Title    string
	Commands []string
}

// SetHelp prints the help of root and of the commands below it as wide as the
// terminal, with root's commands in groups. It is called when all are added.
func SetHelp(root *cobra.Command, groups ...CommandGroup) {
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		if cmd != root {
			return usage(cmd, nil)
		}
		return usage(cmd, groups)
	})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		text := cmd.Long
		if text == "" {
			text = cmd.Short
		}
		// There is nowhere to report that help cannot be written.
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n", wrapText(strings.TrimSpace(text), columns(cmd)))
		_ = cmd.Usage()
	})
	plainDescriptions(root)
	completeChoices(root)
}

// completeChoices has completion offer the words of each Choice.
func completeChoices(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if c, ok := f.Value.(*Choice); ok {
			// It fails only for a flag that does not exist or has a function already.
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(c.Words, cobra.ShellCompDirectiveNoFileComp))
		}
	})
	for _, c := range cmd.Commands() {
		completeChoices(c)
	}
}

// columns returns the width of help: the terminal's within reason, and 80
// without a terminal.
func columns(cmd *cobra.Command) int {
	if n := ui.Inspect(cmd.OutOrStdout(), os.Getenv).Columns(); n > 0 {
		return min(max(n, 40), 100)
	}
	return 80
}

// valueName annotates a flag with the name of its value in help.
const valueName = "shoal_value_name"

// plainDescriptions moves the backquoted name of each flag's value out of its
// description, which completion shows as it is.
func plainDescriptions(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(f.Usage, "`") {
			return
		}
		name, text := pflag.UnquoteUsage(f)
		annotate(f, valueName, name)
		f.Usage = text
	})
	for _, c := range cmd.Commands() {
		plainDescriptions(c)
	}
}

// usage prints everything of cmd's help that stands below its description.
func usage(cmd *cobra.Command, commands []CommandGroup) error {
	width := columns(cmd)
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	listCommands(&b, cmd, commands, width)
	for _, g := range GroupsOf(cmd) {
		if g.HasAvailableFlags() {
			fmt.Fprintf(&b, "\n%s:\n", g.title)
			g.VisitAll(func(f *pflag.Flag) {
				if !f.Hidden && f.Deprecated == "" {
					entry(&b, Label(f), f.Usage+DefaultNote(f), flagColumn, width)
				}
			})
		}
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s COMMAND --help tells more of a command.\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}

// listCommands prints the commands below cmd: those in groups first, then
// the others.
func listCommands(b *strings.Builder, cmd *cobra.Command, groups []CommandGroup, width int) {
	rest := slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool {
		return !c.IsAvailableCommand() && c.Name() != "help"
	})
	topics := slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return !c.IsAdditionalHelpTopicCommand() })
	list := func(title string, commands []*cobra.Command) {
		if len(commands) > 0 {
			fmt.Fprintf(b, "\n%s:\n", title)
		}
		for _, c := range commands {
			entry(b, c.Name(), c.Short, commandColumn, width)
		}
	}
	for _, g := range groups {
		var members []*cobra.Command
		for _, name := range g.Commands {
			if i := slices.IndexFunc(rest, func(c *cobra.Command) bool { return c.Name() == name }); i >= 0 {
				members = append(members, rest[i])
				rest = slices.Delete(rest, i, i+1)
			}
		}
		list(g.Title, members)
	}
	title := "Commands"
	if len(groups) > 0 {
		title = "Other commands"
	}
	list(title, rest)
	list("Subjects of "+cmd.CommandPath()+" help", topics)
}

// Columns where descriptions begin.
const (
	commandColumn = 14
	flagColumn    = 28
)

// entry prints a label and its description, which begins in column at, and on
// a line of its own below a long label.
func entry(b *strings.Builder, label, text string, at, width int) {
	if width < 60 {
		at = 8
	}
	b.WriteString("  " + label)
	pad := at - 2 - len(label)
	if pad < 2 {
		b.WriteByte('\n')
		pad = at
	}
	b.WriteString(strings.Repeat(" ", pad))
	b.WriteString(strings.Join(fold(text, width-at), "\n"+strings.Repeat(" ", at)))
	b.WriteByte('\n')
}

// Label returns a flag as it is typed, with the name of its value.
func Label(f *pflag.Flag) string {
	label := "    --" + f.Name
	if f.Shorthand != "" {
		label = "-" + f.Shorthand + ", --" + f.Name
	}
	kind := f.Value.Type()
	name := ""
	switch given := f.Annotations[valueName]; {
	case len(given) > 0:
		name = given[0]
	case kind == "bool", kind == "count":
	case kind == "duration":
		name = "TIME"
	case kind == "size":
		name = "SIZE"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"), strings.HasPrefix(kind, "float"):
		name = "N"
	case strings.Contains(kind, "|"):
		name = kind // the words of a Choice
	default:
		name = "TEXT"
	}
	if f.NoOptDefVal != "" && name != "" {
		return label + "[=" + name + "]"
	}
	return strings.TrimRight(label+" "+name, " ")
}

// DefaultNote returns the note on a flag's default, unless there is none or the
// description has one.
func DefaultNote(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "0", "0s", "false", "[]", "<nil>", " ":
		return ""
	}
	if strings.Contains(f.Usage, "(default") || f.Value.Type() == "count" {
		return ""
	}
	return " (default " + f.DefValue + ")"
}

// wrapText folds the paragraphs of text that are wider than width. Lines that
// are indented stay lines.
func wrapText(text string, width int) string {
	var out []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		lines := strings.Split(paragraph, "\n")
		wide := slices.ContainsFunc(lines, func(l string) bool { return len([]rune(l)) > width })
		indented := slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, " ") })
		switch {
		case wide && !indented:
			lines = fold(paragraph, width)
		case wide:
			var folded []string
			for _, l := range lines {
				in := len(l) - len(strings.TrimLeft(l, " "))
				if len([]rune(l)) <= width {
					folded = append(folded, l)
					continue
				}
				for i, part := range fold(l, width-in-2) {
					folded = append(folded, strings.Repeat(" ", in+2*min(i, 1))+part)
				}
			}
			lines = folded
		}
		out = append(out, strings.Join(lines, "\n"))
	}
	return strings.Join(out, "\n\n")
}

// fold returns the words of text as lines of at most width characters; a longer
// word has a line of its own.
func fold(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		if length > 0 && length+1+n > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	return append(lines, line)
}
