package config

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/hint"
)

// commands is what a file may have defaults for. Its flags are set to try values: they belong to
// no command that runs.
type commands struct {
	root *cobra.Command        // nil: not needed yet
	tree func() *cobra.Command // makes root
}

// without are the commands that read no configuration: those that evaluate what is typed, and
// those about shoal itself.
var without = []string{"hosts", "fleet", "demo", "debug", "config", "completion", "help", "version", "docs"}

// own are flags of a command with another meaning than elsewhere, which only a default for that
// command sets.
var own = map[string][]string{
	"web":   {"port"},
	"watch": {"timeout"}, "shell": {"timeout"}, "ping": {"timeout"}, "wait": {"timeout"},
}

// typed are the flags that a person has to type each time, with the reason.
var typed = map[string]string{
	"yes":           "it answers a question that the configuration asks",
	"rerun-unknown": "it is a decision on one run", "past-brake": "it is a decision on one run", "past-rerun": "it is a decision on one run",
	"assume-defaults": "it is a decision on one run",
	"config-file":     "it names the configuration", "no-config": "it is about the configuration",
	"help": "it runs nothing", "version": "it runs nothing",
}

// configured reports whether a command reads the configuration.
func configured(cmd *cobra.Command) bool {
	if !cmd.Runnable() || !cmd.HasParent() || cmd.Name() == doName && !cmd.Parent().HasParent() {
		return false
	}
	for c := cmd; c.HasParent(); c = c.Parent() {
		if c.Hidden || !c.Parent().HasParent() && slices.Contains(without, c.Name()) {
			return false
		}
	}
	return true
}

// pathOf returns the name of a command below its program: "run", "keys scan".
func pathOf(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if strings.HasPrefix(path, doName+" ") {
		return "run" // a named command is a run
	}
	return path
}

// each calls f for the commands that read the configuration.
func (c *commands) each(f func(*cobra.Command)) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if configured(cmd) {
			f(cmd)
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	if c.root == nil {
		c.root = c.tree()
	}
	walk(c.root)
}

// flags returns the flags of a name that a default for path sets, "" for all commands.
func (c *commands) flags(path, name string) (found []*pflag.Flag) {
	c.each(func(cmd *cobra.Command) {
		if at := pathOf(cmd); path != "" && at != path || path == "" && slices.Contains(own[at], name) {
			return
		}
		if f := cmd.Flags().Lookup(name); f != nil && !f.Hidden {
			found = append(found, f)
		}
	})
	return found
}

// flagNames returns the names of the flags that a default for path may have.
func (c *commands) flagNames(path string) []string {
	var names []string
	c.each(func(cmd *cobra.Command) {
		if path == "" || pathOf(cmd) == path {
			cmd.Flags().VisitAll(func(f *pflag.Flag) {
				if !f.Hidden && typed[f.Name] == "" {
					names = append(names, f.Name)
				}
			})
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// has reports whether path is a command that reads the configuration, or begins the name of one.
func (c *commands) has(path string) (has bool) {
	c.each(func(cmd *cobra.Command) {
		at := pathOf(cmd)
		has = has || at == path || strings.HasPrefix(at, path+" ")
	})
	return has
}

func (c *commands) names() (names []string) {
	c.each(func(cmd *cobra.Command) {
		first, _, _ := strings.Cut(pathOf(cmd), " ")
		names = append(names, first)
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// meant returns a question for the word that was probably meant, as the end of a message; "" if
// there is no telling.
func meant(word string, known []string) string {
	if best := hint.Nearest(word, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}
