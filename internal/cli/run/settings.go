package run

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/plan"
	"shoal/internal/run"
	"shoal/internal/ssh/config"
	"shoal/internal/ui"
)

// KeptFlags returns the names of the flags that the journal keeps with a run:
// those of the groups and --max-output. Other output flags only concern the
// person who looks.
func KeptFlags(groups ...flags.FlagGroup) []string {
	names := []string{"max-output"}
	for _, g := range groups {
		g.VisitAll(func(flag *pflag.Flag) {
			if flag.Name != "state-dir" && flag.Name != "verbose" {
				names = append(names, flag.Name)
			}
		})
	}
	return names
}

// SettingsOf returns the settings that the journal keeps with a run. noCommand
// also drops settings that may contain what was run.
func SettingsOf(set *pflag.FlagSet, kept []string, f *flags.HostFlags, opts *connect.Options, noCommand bool) (*journal.Settings, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("looking for the working directory: %w", err)
	}
	s := &journal.Settings{Directory: dir, Flags: make(map[string][]string)}
	for _, name := range kept {
		flag := set.Lookup(name)
		if flag == nil || !flags.Given(flag) || flag.Value.String() == flag.DefValue || noCommand && (name == "check" || name == "env") {
			continue
		}
		values := slices.Clone(valuesOf(flag))
		if noCommand && name == "option" {
			values = slices.DeleteFunc(values, func(o string) bool { return config.OptionKeyword(o) == "setenv" })
		}
		s.Flags[name] = absolute(name, values)
	}
	s.Files, err = filesOf(f, opts)
	return s, err
}

func valuesOf(flag *pflag.Flag) []string {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{flag.Value.String()}
}

// absolute makes paths independent of the working directory.
func absolute(name string, values []string) []string {
	return flags.Located(name, values, func(path string) string { return run.Absolute([]string{path})[0] })
}

// filesOf returns the files that decide where and how the run goes, with their
// current content's digest.
func filesOf(f *flags.HostFlags, opts *connect.Options) ([]journal.File, error) {
	config, err := opts.ReadConfig()
	if err != nil {
		return nil, err
	}
	inventories := slices.Concat(f.Inventories, f.Hostfiles)
	for _, e := range f.Hosts {
		if path, ok := strings.CutPrefix(e, "^"); ok {
			inventories = append(inventories, path)
		}
	}
	return run.Files(config.Files(), inventories, f.Identities), nil
}

// A Recalled is the settings of an earlier run combined with the flags given
// now.
type Recalled struct {
	Info *journal.RunInfo
	Now  map[string]bool // names of the flags given now

	instead []string // flags given now, with "--", that the run had with another value
}

// rivals are pairs of exclusive flags: one given now replaces the other in the
// earlier run.
var rivals = map[string]string{
	"ask-pass": "password-file", "password-file": "ask-pass",
	"ask-become-pass": "become-password-file", "become-password-file": "ask-become-pass",
}

// RecallSettings sets flags to the earlier run's values. A flag given now wins,
// and the difference is printed. With all a kept flag that the command does not
// have is an error; otherwise it is skipped.
func RecallSettings(info *journal.RunInfo, set *pflag.FlagSet, all bool, stderr io.Writer) (Recalled, error) {
	r := Recalled{Info: info, Now: make(map[string]bool)}
	set.Visit(func(flag *pflag.Flag) { r.Now[flag.Name] = true })
	if info.Settings == nil {
		return r, nil
	}
	byWorkers := staysOnWorkers(info.Settings, set)
	var instead []string
	for _, name := range slices.Sorted(maps.Keys(info.Settings.Flags)) {
		values := info.Settings.Flags[name]
		flag := set.Lookup(name)
		switch {
		case flag == nil && all:
			return r, hint.Wrap(fmt.Errorf("the run %s was made with --%s, which this program does not have", info.Run, name),
				fmt.Sprintf("use the one that made it: %s", ui.Visible(info.Program)))
		case flag == nil || len(values) == 0 || isInput(name):
		case r.Now[name]:
			if !slices.Equal(absolute(name, valuesOf(flag)), values) {
				instead = append(instead, "--"+name)
			}
		case r.Now[rivals[name]]:
			instead = append(instead, "--"+rivals[name])
		default:
			if err := setFlag(flag, values); err != nil {
				return r, fmt.Errorf("the run's own --%s: %w", name, err)
			}
			if byWorkers && leftToWorkers(name) { // the configuration had it: typed, it would have been refused
				flag.Changed = false
				flags.SetConfigured(flag)
			}
		}
	}
	if dir, err := os.Getwd(); !r.Now["option"] && dir != info.Settings.Directory {
		// Other keys, or none, would change whom to trust.
		if o := Elsewhere(info.Settings.Flags["option"]); err != nil || o != "" {
			return r, errors.Join(err, hint.Wrap(fmt.Errorf("the run's own --option %s names a file as seen from the directory %s",
				ui.Visible(fmt.Sprintf("%q", o)), ui.Visible(fmt.Sprintf("%q", info.Settings.Directory))),
				"go there, or give --option again"))
		}
	}
	r.instead = instead
	if len(instead) > 0 {
		console.Say(stderr, "given now, and not as the run had it: %s", strings.Join(slices.Compact(instead), ", "))
	}
	return r, nil
}

// keptCluster is the flag of runs on workers.
const keptCluster = "cluster"

// isInput reports whether a flag gives the command an input, which nobody has kept: see
// run.Remote.CheckInput.
func isInput(name string) bool { return name == "stdin" || name == "stdin-from" }

func setFlag(flag *pflag.Flag, values []string) (err error) {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		err = list.Replace(values)
	} else {
		err = flag.Value.Set(values[0])
	}
	flag.Changed = true
	return err
}

// TellFiles prints which files have changed since the run was made.
func (r Recalled) TellFiles(f *flags.HostFlags, opts *connect.Options, stderr io.Writer) error {
	if r.Info.Settings == nil {
		return nil
	}
	files, err := filesOf(f, opts)
	if err != nil {
		return err
	}
	// The inventory is not read again: its files are compared as they are now.
	for _, c := range run.ChangedFiles(r.Info.Settings.Files, files) {
		if r.Now["identity"] && c.Kind == journal.FileIdentity || r.Now["config"] && c.Kind == journal.FileConfig {
			continue
		}
		console.Say(stderr, "%s %s %s since the run was made", c.Kind, ui.Visible(fmt.Sprintf("%q", c.Path)), c.Change)
	}
	return nil
}

// Route sets the targets' routes to those of the earlier run, except for flags
// given now: -l and -p apply to all targets, also to hosts that named a user or port
// in the earlier run, and -J, or an ssh_config option to the same effect, resolves
// the route anew.
func (r Recalled) Route(targets []fleet.Target, opts *connect.Options) {
	opts.Entry = plan.Listed(targets)
	anew := r.Now["jump"] || r.option(opts, "proxyjump", "proxycommand", "hostname", "hostkeyalias")
	user, port := r.option(opts, "user"), r.option(opts, "port")
	for i := range targets {
		t := &targets[i]
		if anew || r.Info.Settings == nil && unwritten(t.Route) {
			if t.Route != nil && t.Route.Pool != "" { // who runs it is not a part of the way
				t.Attrs = pooled{t.Attrs, t.Route.Pool}
			}
			t.Route = nil
		}
		switch {
		case r.Now["user"]:
			t.User = opts.User
		case user:
			t.User = ""
		}
		switch {
		case r.Now["port"]:
			t.Port = opts.Port
		case port:
			t.Port = 0
		}
	}
}

// pooled are a host's attributes with the pool that an earlier run has recorded.
type pooled struct {
	fleet.Attrs // nil: none
	pool        string
}

// Attr implements fleet.Attrs.
func (p pooled) Attr(name string) (string, bool) {
	switch {
	case name == "pool":
		return p.pool, true
	case p.Attrs == nil:
		return "", false
	}
	return p.Attrs.Attr(name)
}

// option reports whether one of these ssh_config options is given now.
func (r Recalled) option(opts *connect.Options, keywords ...string) bool {
	return r.Now["option"] && slices.ContainsFunc(opts.SSHOptions, func(o string) bool {
		return slices.Contains(keywords, config.OptionKeyword(o))
	})
}

// Elsewhere returns the first option that names a file relative to the working
// directory; "" if there is none.
func Elsewhere(options []string) string {
	if i := slices.IndexFunc(options, config.RelativeFile); i >= 0 {
		return options[i]
	}
	return ""
}

// unwritten reports whether r is the empty route that older programs recorded
// for targets without a usable configuration.
func unwritten(r *fleet.Route) bool {
	return r != nil && r.Address == "" && r.HostKeyAlias == "" && r.Via == nil && len(r.ProxyCommand) == 0
}

// SettingsText returns settings as flags, to be printed; "" if there are none. Values of
// variables are left out: they may be secrets, and logs may keep what is printed.
func SettingsText(s *journal.Settings) string {
	if s == nil {
		return ""
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(s.Flags)) {
		for _, value := range s.Flags[name] {
			if variable, _, ok := strings.Cut(value, "="); ok && name == "env" {
				value = variable + "=…"
			}
			words = append(words, "--"+name+"="+ui.Visible(value))
		}
	}
	return strings.Join(words, " ")
}
