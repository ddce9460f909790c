package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"shoal/hosts/filter"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// Names in a section of what is no flag; in files they have no colon.
const (
	keyConfirm      = ":confirm"
	keyConfirmAbove = ":confirm-above"
	keyCommand      = ":command"
	keyAbout        = ":about"
)

// A checker puts the entries of a file into its sections and says what is wrong with them.
type checker struct {
	file       *file
	name, home string
	known      *commands
	lines      map[string]int // of flags that were set, by section and name
}

// maxProblems bounds the problems of a file that are told at once.
const maxProblems = 10

func (c *checker) all(entries []entry) error {
	var problems []error
	for _, e := range entries {
		err := c.entry(e)
		if err == nil {
			continue
		}
		if problems = append(problems, fmt.Errorf("%s:%d: %w", c.name, e.line, err)); len(problems) == maxProblems {
			break
		}
	}
	if len(problems) == 0 {
		for name, s := range c.file.commands {
			if len(s[keyCommand].texts) == 0 == (len(s["script"].texts) == 0) {
				problems = append(problems, fmt.Errorf("%s: [commands.%s] has to have either command or script", c.name, name))
			}
		}
	}
	return hint.Wrap(errors.Join(problems...), "shoal help configuration says what a file may have; --no-config goes without")
}

var nameOK = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (c *checker) entry(e entry) error {
	kind, rest := e.path[0], e.path[1:]
	if !e.table && len(rest) == 0 {
		if special := ":" + kind; special == keyConfirm || special == keyConfirmAbove {
			return c.confirm(c.file.top, "", special, e)
		}
		if c.known.flags("", kind) != nil {
			return fmt.Errorf("%s is a flag: write it below [defaults], or [defaults.COMMAND]", kind)
		}
	}
	switch kind {
	case "defaults":
		return c.defaults(rest, e)
	case "fleets":
		return c.named(c.file.fleets, "a fleet", []string{"about", "confirm", "confirm-above"}, rest, e)
	case "commands":
		return c.named(c.file.commands, "a command", []string{"about", "confirm", "confirm-above", "command"}, rest, e)
	}
	return fmt.Errorf("unknown key %s%s", quote(kind), meant(kind, []string{"defaults", "fleets", "commands", "confirm", "confirm-above"}))
}

func quote(text string) string { return ui.Visible(fmt.Sprintf("%.80q", text)) }

// defaults puts defaults.FLAG and defaults.COMMAND.FLAG where they belong.
func (c *checker) defaults(rest []string, e entry) error {
	words := rest
	if !e.table && len(rest) > 0 {
		words = rest[:len(rest)-1]
	}
	path := strings.Join(words, " ")
	switch {
	case !e.table && len(rest) == 0:
		return errors.New("defaults is a table: write [defaults]")
	case path == "":
	case !c.known.has(path):
		if c.lines[path] > 0 {
			return nil // it was said of the table
		}
		c.lines[path] = e.line
		if slices.Contains(without, words[0]) {
			return fmt.Errorf("shoal %s reads no configuration", words[0])
		}
		if e.table && c.known.flags("", path) != nil {
			return fmt.Errorf("%s is a flag, and no command: write %[1]s = …", path)
		}
		return fmt.Errorf("there is no command %s%s", quote("shoal "+path), meant(path, c.known.names()))
	}
	if e.table {
		return nil
	}
	if c.file.defaults[path] == nil {
		c.file.defaults[path] = section{}
	}
	return c.flag(c.file.defaults[path], "defaults "+path, path, rest[len(rest)-1], nil, e)
}

// named puts fleets.NAME.KEY and commands.NAME.KEY where they belong; keys are those that are no flags.
func (c *checker) named(all map[string]section, what string, keys, rest []string, e entry) error {
	table := e.path[0]
	switch {
	case len(rest) == 0 && e.table:
		return nil
	case len(rest) == 0 || len(rest) == 1 && !e.table:
		return fmt.Errorf("%s has a name: write [%s.NAME]", what, table)
	case !nameOK.MatchString(rest[0]):
		return fmt.Errorf("%s is no name for %s: it has letters, digits and . _ -", quote(rest[0]), what)
	case len(rest) > 2 || e.table && len(rest) > 1:
		return fmt.Errorf("unknown table %s", quote(strings.Join(e.path, ".")))
	}
	if all[rest[0]] == nil {
		all[rest[0]] = section{}
	}
	if e.table {
		return nil
	}
	s, id, key := all[rest[0]], table+" "+rest[0], rest[1]
	switch {
	case table == "fleets" && key == "fleet":
		return errors.New("a fleet has no other fleet")
	case ":"+key == keyConfirm, ":"+key == keyConfirmAbove:
		return c.confirm(s, id, ":"+key, e)
	case slices.Contains(keys, key):
		text, kind := scalar(e.value)
		if kind != "text" || strings.TrimSpace(text) == "" {
			return fmt.Errorf("%s is a text in quotes, and this is %s", key, kind)
		}
		return c.set(s, id, ":"+key, []string{text}, e)
	}
	return c.flag(s, id, "run", key, keys, e)
}

// confirm sets a condition under which shoal asks.
func (c *checker) confirm(s section, id, key string, e entry) error {
	text, kind := scalar(e.value)
	switch {
	case key == keyConfirmAbove && kind != "a whole number":
		return fmt.Errorf("confirm-above is a whole number, and this is %s", kind)
	case key == keyConfirm && kind != "text":
		return fmt.Errorf("confirm is a condition in quotes, as for --where, and this is %s", kind)
	}
	if err := checkConfirm(key, text); err != nil {
		return err
	}
	return c.set(s, id, key, []string{text}, e)
}

func checkConfirm(key, text string) error {
	if key == keyConfirmAbove {
		if n, err := strconv.Atoi(text); err != nil || n < 0 {
			return fmt.Errorf("confirm-above: %s is not a whole number of at least 0", quote(text))
		}
		return nil
	}
	if text == always || text == never {
		return nil
	}
	if _, err := filter.Parse(text); err != nil {
		return fmt.Errorf("confirm: %s: %w", quote(text), err)
	}
	return nil
}

// set keeps a value, which can be there once only.
func (c *checker) set(s section, id, key string, texts []string, e entry) error {
	if line, ok := c.lines[id+" "+key]; ok {
		return fmt.Errorf("%s is in line %d too, by another name", strings.TrimPrefix(key, ":"), line)
	}
	c.lines[id+" "+key] = e.line
	s[key] = value{texts: texts, from: fmt.Sprintf("%s:%d", c.name, e.line)}
	return nil
}

// flag sets a flag of the command path, "" for all.
func (c *checker) flag(s section, id, path, key string, more []string, e entry) error {
	name := strings.TrimLeft(key, "-")
	if why, ok := secretKey(name, c.known.flags(path, name) != nil); ok {
		return errors.New(why)
	}
	if why := typed[name]; why != "" {
		return fmt.Errorf("--%s is no default: %s", name, why)
	}
	found := c.known.flags(path, name)
	if len(found) == 0 {
		return c.unknown(path, key, more)
	}
	texts, err := c.texts(found[0], e.value)
	if err != nil {
		return fmt.Errorf("%s %w", key, err)
	}
	if err := c.allowed(found[0].Name, texts); err != nil {
		return err
	}
	texts = c.located(found[0].Name, texts)
	for _, f := range found {
		if err := setFlag(f, texts); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return c.set(s, id, found[0].Name, texts, e)
}

// unknown says that a command has no such flag, and which may be meant.
func (c *checker) unknown(path, key string, more []string) error {
	who := "no command that reads the configuration has"
	if path != "" {
		who = "shoal " + path + " has no"
	}
	if len(key) == 1 {
		return fmt.Errorf("%s is short for a flag: write its long name", quote(key))
	}
	if path != "" && c.known.flags("", key) != nil {
		return fmt.Errorf("unknown key %s: %s flag --%s", quote(key), who, key)
	}
	return fmt.Errorf("unknown key %s%s", quote(key), meant(key, append(c.known.flagNames(path), more...)))
}

// texts returns a value as the flag takes it.
func (c *checker) texts(f *pflag.Flag, v any) ([]string, error) {
	list, isList := v.([]any)
	_, takesList := f.Value.(pflag.SliceValue)
	if isList && !takesList {
		return nil, errors.New("takes one value, and this is a list")
	}
	if !isList {
		list = []any{v}
	}
	texts := make([]string, len(list))
	for i, v := range list {
		text, kind := scalar(v)
		if want := wanted(f, kind); want != "" {
			return nil, fmt.Errorf("is %s, and this is %s", want, kind)
		}
		texts[i] = text
	}
	return texts, nil
}

// wanted returns what a flag takes in place of a value of this kind; "" if it takes it.
func wanted(f *pflag.Flag, kind string) string {
	t := f.Value.Type()
	number := t == "number" || t == "N" || strings.HasPrefix(t, "int") || strings.HasPrefix(t, "uint")
	switch {
	case t == "bool":
		return unless(kind == "true or false", "true or false, without quotes")
	case t == "count" || number:
		return unless(kind == "a whole number", "a whole number, without quotes")
	case strings.HasPrefix(t, "float"):
		return unless(strings.HasSuffix(kind, "number") || strings.HasSuffix(kind, "fraction"), "a number, without quotes")
	case t == "duration":
		return unless(kind != "true or false" && kind != "a list" && kind != "a date or time", `a time, such as "90s", or seconds`)
	}
	return unless(kind == "text" || kind == "a whole number", "a text in quotes")
}

func unless(ok bool, text string) string {
	if ok {
		return ""
	}
	return text
}

// written are the flags that name files here which are written: of these only ~/ is replaced.
var written = []string{"outdir", "metrics", "state-dir", "save"}

// located returns the values of a flag with the names of files here as they count in the file of the
// configuration: from its directory.
func (c *checker) located(name string, texts []string) []string {
	dir := filepath.Dir(c.file.path)
	texts = flags.Located(name, texts, func(path string) string { return absolute(path, dir, c.home) })
	for i, text := range texts {
		if slices.Contains(written, name) && strings.HasPrefix(text, "~/") {
			texts[i] = absolute(text, dir, c.home)
		}
	}
	return texts
}

func setFlag(f *pflag.Flag, texts []string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		if len(texts) == 1 && strings.HasSuffix(f.Value.Type(), "Slice") {
			texts = strings.Split(texts[0], ",") // as typed
		}
		return list.Replace(texts)
	}
	return f.Value.Set(texts[0])
}
