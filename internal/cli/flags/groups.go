// Package flags has the flags that several commands share: those that name
// hosts and connections, value types for flags, and help in groups. Flags of a
// single command are in the package of that command.
package flags

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/ui"
)

// A FlagGroup is a set of flags under one heading of the help text.
type FlagGroup struct {
	title string
	*pflag.FlagSet
}

// NewGroup returns an empty group.
func NewGroup(title string) FlagGroup {
	set := pflag.NewFlagSet(title, pflag.ContinueOnError)
	set.SortFlags = false
	return FlagGroup{title, set}
}

// AddInGroups adds the groups' flags to cmd and prints its help under their
// headings, as wide as the terminal.
func AddInGroups(cmd *cobra.Command, groups ...FlagGroup) {
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.FlagSet)
	}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		width := cmp.Or(ui.Inspect(cmd.OutOrStdout(), os.Getenv).Columns(), 100)
		var b strings.Builder
		fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
		if cmd.HasExample() {
			fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
		}
		for _, g := range groups {
			fmt.Fprintf(&b, "\n%s:\n%s", g.title, g.FlagUsagesWrapped(width))
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
		return err
	})
}
