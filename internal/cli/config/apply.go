package config

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/cli/flags"
)

// A layer is a section with its rank: those before it count.
type layer struct {
	section
	label string // what to say before the place; "" for nothing
}

// rivals are flags that exclude each other: if one of them is typed, or set in a layer that comes
// first, later layers set none of them.
var rivals = [][]string{
	{"hostfile", "inventory", "config-hosts", "hosts-from"},
	{"hosts", "group", "all"},
	{"ask-pass", "password-file"},
	{"ask-become-pass", "become-password-file"},
	{"gather", "gather-apart", "json", "groups", "diff", "diff-to", "no-prefix", "in-order", "follow", "timestamps", "browse"},
	{"client", "pipeline", "pq"},
	{"stdin", "stdin-from"},
	{"placeholders", "no-placeholders"},
	{"by", "by-field"},
	{"script", keyCommand},
	{"every", "cron"},
}

// needed are flags that count only beside one of others, for commands that have these: alone they
// are a mistake if typed, and wait for their time if configured.
var needed = map[string][]string{
	"mask": grouping, "mask-regex": grouping, "by": grouping, "by-field": grouping, "max-groups": grouping,
	"hold-max-age":  {"persist"},
	"pause":         {"rollout", "canary"},
	"check":         {"rollout", "canary"},
	"metrics-hosts": {"metrics"},
	"run-dir":       {"once", "kill-on-cancel", "detach"},
}

var grouping = []string{"gather", "gather-apart", "groups", "diff", "diff-to"}

// An applied is what the configuration has set for a command.
type applied struct {
	layers []layer
	set    map[string]value // by flag, and what is no flag
}

// apply sets the flags of cmd that were not typed. command is the named command that cmd is; "": none.
func (c *Config) apply(cmd *cobra.Command, command string) (*applied, error) {
	a := &applied{set: make(map[string]value)}
	if err := c.collect(a, cmd, command); err != nil {
		return nil, err
	}
	taken := make(map[string]bool) // of rivals, by flag
	take := func(names []string) {
		for _, group := range rivals {
			if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(group, n) }) {
				for _, n := range group {
					taken[n] = true
				}
			}
		}
	}
	var names []string
	cmd.Flags().Visit(func(f *pflag.Flag) { names = append(names, f.Name) })
	take(names)
	for _, l := range a.layers {
		names = names[:0]
		for name, v := range l.section {
			f := cmd.Flags().Lookup(name)
			if _, set := a.set[name]; set || taken[name] || f != nil && (f.Changed || f.Hidden || flags.Recorded(f)) {
				continue
			}
			if l.label != "" {
				v.from = l.label + ", " + v.from
			}
			a.set[name] = v
			names = append(names, name)
		}
		take(names)
	}
	return a, a.setFlags(cmd)
}

// setFlags sets what was found.
func (a *applied) setFlags(cmd *cobra.Command) error {
	var waiting []string
	set := func(name string) bool {
		f := cmd.Flags().Lookup(name)
		_, ours := a.set[name]
		return f != nil && (f.Changed && f.Value.String() != f.DefValue || ours)
	}
	for name := range a.set {
		beside := slices.DeleteFunc(slices.Clone(needed[name]), func(n string) bool { return cmd.Flags().Lookup(n) == nil })
		if len(beside) > 0 && !slices.ContainsFunc(beside, set) {
			waiting = append(waiting, name)
		}
	}
	for _, name := range waiting {
		delete(a.set, name)
	}
	for name, v := range a.set {
		f := cmd.Flags().Lookup(name)
		if f == nil {
			continue
		}
		if err := setFlag(f, v.texts); err != nil {
			return fmt.Errorf("%s: --%s: %w", v.from, name, err)
		}
		flags.SetConfigured(f)
	}
	return nil
}

// collect finds the layers for cmd.
func (c *Config) collect(a *applied, cmd *cobra.Command, command string) error {
	path := pathOf(cmd)
	if command != "" {
		s, ok := c.definitions(commandsOf)[command]
		if !ok {
			return fmt.Errorf("there is no command %s in the configuration", quote(command))
		}
		a.layers = append(a.layers, layer{s, "command " + command})
	}
	rest := []layer{{c.forAll(c.env, path), ""}}
	for _, f := range c.files {
		rest = append(rest, layer{f.defaults[path], ""}, layer{c.forAll(f.defaults[""], path), ""}, layer{f.top, ""})
	}
	if f := cmd.Flags().Lookup("fleet"); f != nil {
		var v value
		if f.Changed {
			v = value{texts: []string{f.Value.String()}}
		} else {
			for _, l := range append(slices.Clone(a.layers), rest...) {
				if len(v.texts) == 0 {
					v = l.section["fleet"]
				}
			}
		}
		if name := cmp.Or(append(v.texts, "")...); name != "" {
			s, err := c.fleet(name, v.from)
			if err != nil {
				return err
			}
			a.layers = append(a.layers, layer{s, "fleet " + name})
		}
	}
	a.layers = append(a.layers, rest...)
	return nil
}

// forAll returns a section for all commands without what has another meaning in the command path.
func (c *Config) forAll(s section, path string) section {
	if len(own[path]) == 0 {
		return s
	}
	kept := make(section, len(s))
	for name, v := range s {
		if !slices.Contains(own[path], name) {
			kept[name] = v
		}
	}
	return kept
}
