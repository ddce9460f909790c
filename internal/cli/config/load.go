// Package config is the configuration of shoal: files, SHOAL_* variables, fleets and named
// commands.
//
//	files → parse → check (each key is a flag of some command) → sections
//	typed flags > named command > fleet > SHOAL_* > the user's file > the system's file
//
// A configured value is set where a flag was not typed, without being Changed: what is wrong
// only if it is typed, such as a flag without effect, is no error then. The journal keeps it
// with the run as if it had been typed, and commands that go on with a run take no configuration
// for what the journal keeps.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/internal/hint"
)

// Sources say where the configuration comes from. The zero value is that of this process.
type Sources struct {
	// Path is the only file to read; "" means the user's and the system's, and "none" no file.
	Path string
	// None means neither files nor variables.
	None bool
	// System is the system's file; "" means /etc/shoal/config.toml.
	System string
}

// A Config is a configuration that was read.
type Config struct {
	files   []*file  // the first counts
	looked  []string // where files were looked for
	env     section
	notes   []string // of variables that may be misspelt
	unused  []string // SHOAL_* variables that are no flags
	none    bool
	homeDir string
}

// pathVariable names the only file to read.
const pathVariable = "SHOAL_CONFIG_FILE"

// ours are the variables that shoal sets, or that choose the file.
var ours = []string{pathVariable, "SHOAL_STAGE", "SHOAL_NO_CONFIG"}

// Load reads the configuration. tree makes the commands, which say what there is to configure; it
// is not called if nothing is configured.
func (s Sources) Load(tree func() *cobra.Command) (*Config, error) {
	home, _ := os.UserHomeDir() // without it there is no file of the user
	c := &Config{homeDir: home, env: section{}, none: s.None}
	if s.None {
		return c, nil
	}
	known := &commands{tree: tree}
	c.looked = s.paths(home)
	var failed error
	for _, path := range c.looked {
		f, err := readFile(path, home, known)
		if err == nil && f == nil && s.named() != "" {
			err = hint.Wrap(fmt.Errorf("there is no configuration %q", path), "--config-file none reads none")
		}
		if f != nil {
			c.files = append(c.files, f)
		}
		failed = errors.Join(failed, err)
	}
	return c, errors.Join(failed, c.readEnv(known))
}

// named is the file that a person has named, by a flag or a variable.
func (s Sources) named() string { return cmp.Or(s.Path, os.Getenv(pathVariable)) }

// paths returns the files to look for.
func (s Sources) paths(home string) []string {
	if name := s.named(); name == "none" {
		return nil
	} else if path, err := filepath.Abs(name); name != "" && err == nil {
		return []string{path}
	}
	var paths []string
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // the specification has relative ones ignored
		dir = ""
	}
	if dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir != "" {
		paths = append(paths, filepath.Join(dir, "shoal", "config.toml"))
	}
	return append(paths, cmp.Or(s.System, "/etc/shoal/config.toml"))
}

const prefix = "SHOAL_"

func anyVariable() bool {
	return slices.ContainsFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, prefix) })
}

// variable returns the name of the variable of a flag.
func variable(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// readEnv reads the SHOAL_* variables; an empty one is none. Others than those of flags may be a person's own.
func (c *Config) readEnv(known *commands) error {
	if !anyVariable() {
		return nil
	}
	names := known.flagNames("")
	var failed error
	for _, text := range slices.Sorted(slices.Values(os.Environ())) {
		name, set, _ := strings.Cut(text, "=")
		key, ok := strings.CutPrefix(name, prefix)
		if !ok || set == "" || slices.Contains(ours, name) {
			continue
		}
		key = strings.ToLower(strings.ReplaceAll(key, "_", "-"))
		switch {
		case ":"+key == keyConfirm, ":"+key == keyConfirmAbove:
			key = ":" + key
			if err := checkConfirm(key, set); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
			}
		case typed[key] != "":
			failed = errors.Join(failed, hint.New(fmt.Sprintf("%s: --%s is no default: %s", name, key, typed[key]), "unset "+name))
			continue
		case !slices.Contains(names, key):
			if flag := hint.Nearest(key, names); flag != "" {
				c.notes = append(c.notes, fmt.Sprintf("%s sets nothing: there is no flag --%s; did you mean %s?", name, key, variable(flag)))
			}
			c.unused = append(c.unused, name)
			continue
		default:
			for _, f := range known.flags("", key) {
				if err := setFlag(f, []string{set}); err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
					break
				}
			}
		}
		c.env[key] = value{texts: []string{set}, from: name}
	}
	return failed
}

// definitions returns the fleets, or the named commands, of all files; the first file that has a
// name counts.
func (c *Config) definitions(of func(*file) map[string]section) map[string]section {
	all := make(map[string]section)
	for _, f := range slices.Backward(c.files) {
		maps.Copy(all, of(f))
	}
	return all
}

func fleetsOf(f *file) map[string]section   { return f.fleets }
func commandsOf(f *file) map[string]section { return f.commands }

// Fleets returns the names of the fleets, sorted.
func (c *Config) Fleets() []string {
	return slices.Sorted(maps.Keys(c.definitions(fleetsOf)))
}

// fleet returns a fleet by its name; from says who named it.
func (c *Config) fleet(name, from string) (section, error) {
	s, ok := c.definitions(fleetsOf)[name]
	if ok {
		return s, nil
	}
	err := fmt.Errorf("there is no fleet %s in the configuration%s", quote(name), meant(name, c.Fleets()))
	if from != "" {
		err = fmt.Errorf("%s: %w", from, err)
	}
	advice := "a file with [fleets.NAME] makes one; shoal config show lists them"
	if c.none {
		advice = "--no-config reads none: leave it out"
	}
	return nil, hint.Wrap(err, advice)
}
