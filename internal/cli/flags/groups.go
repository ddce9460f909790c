// Package flags has the flags that several commands share: those that name
// hosts and connections, value types for flags, and help in groups. Flags of a
// single command are in the package of that command.
package flags

import (
	"slices"

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

// groupTitle annotates a flag with the title of its group.
const groupTitle = "shoal_group"

// AddInGroups adds the groups' flags to cmd. Its help and its page of the manual show them under
// their titles.
func AddInGroups(cmd *cobra.Command, groups ...FlagGroup) {
	cmd.Flags().SortFlags = false // GroupsOf keeps the order
	for _, g := range groups {
		g.VisitAll(func(f *pflag.Flag) { annotate(f, groupTitle, g.title) })
		cmd.Flags().AddFlagSet(g.FlagSet)
	}
}

func annotate(f *pflag.Flag, name, value string) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[name] = []string{value}
}

// GroupsOf returns the flags of cmd in their groups, those that no group has left out; without
// groups, all under one title.
func GroupsOf(cmd *cobra.Command) []FlagGroup {
	var groups []FlagGroup
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		title := f.Annotations[groupTitle]
		if len(title) == 0 {
			return
		}
		i := slices.IndexFunc(groups, func(g FlagGroup) bool { return g.title == title[0] })
		if i < 0 {
			i, groups = len(groups), append(groups, NewGroup(title[0]))
		}
		groups[i].AddFlag(f)
	})
	if len(groups) == 0 {
		groups = []FlagGroup{{"Flags", cmd.LocalFlags()}}
	}
	return groups
}

// Title returns the heading of the group.
func (g FlagGroup) Title() string { return g.title }

// Annotations of flags and the configuration.
const (
	configuredFlag = "shoal_configured"
	recordedFlag   = "shoal_recorded"
)

// SetConfigured notes that the configuration has set a flag: it has its value, and was not typed.
func SetConfigured(f *pflag.Flag) { annotate(f, configuredFlag, "yes") }

// Given reports whether a flag was typed, or set by the configuration.
func Given(f *pflag.Flag) bool {
	return f != nil && (f.Changed || len(f.Annotations[configuredFlag]) > 0)
}

// IsGiven reports whether the flag of a name was typed, or set by the configuration.
func IsGiven(set *pflag.FlagSet, name string) bool { return Given(set.Lookup(name)) }

// AsRecorded notes that the journal has the flags of these names for an earlier run, so that the
// configuration does not set them: what goes on with a run is not changed by a file.
func AsRecorded(set *pflag.FlagSet, names []string) {
	for _, name := range names {
		if f := set.Lookup(name); f != nil {
			annotate(f, recordedFlag, "yes")
		}
	}
}

// Recorded reports whether AsRecorded was called for a flag.
func Recorded(f *pflag.Flag) bool { return len(f.Annotations[recordedFlag]) > 0 }
