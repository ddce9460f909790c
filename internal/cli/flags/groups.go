// Package flags has the flags that several commands share: those that name
// hosts and connections, value types for flags, and help in groups. Flags of a
// single command are in the package of that command.
package flags

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
// headings.
func AddInGroups(cmd *cobra.Command, groups ...FlagGroup) {
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.FlagSet)
	}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error { return usage(cmd, nil, groups) })
}
