package groups

import (
	"bytes"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
	"shoal/internal/plainfile"
)

// Paths lists where groups.conf may stand, the last having the last word: the
// system's, ~/.local/etc, $XDG_CONFIG_HOME or ~/.config, and $CLUSTERSHELL_CFGDIR
// (ClusterShell, Defaults.py, config_paths). env gives a variable of the environment,
// as os.Getenv does; home is the user's directory, "" where it is not known.
func Paths(env func(string) string, home string) []string {
	paths := []string{"/etc/clustershell/groups.conf"}
	if home != "" {
		paths = append(paths, filepath.Join(home, ".local/etc/clustershell/groups.conf"))
	}
	if xdg := env("XDG_CONFIG_HOME"); xdg != "" {
		paths = append(paths, filepath.Join(xdg, "clustershell/groups.conf"))
	} else if home != "" {
		paths = append(paths, filepath.Join(home, ".config/clustershell/groups.conf"))
	}
	if dir := env("CLUSTERSHELL_CFGDIR"); dir != "" {
		paths = append(paths, filepath.Join(dir, "groups.conf"))
	}
	return paths
}

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// A config is what the files say: options of sections, both in their order. It is
// the dialect of Python's configparser.
type config struct {
	sections []*section
	defaults section
}

type section struct {
	name    string
	options map[string]string
}

func (c *config) section(name string) *section {
	for _, s := range c.sections {
		if s.name == name {
			return s
		}
	}
	return nil
}

// get returns an option of a section, or of [DEFAULT].
func (c *config) get(s *section, option string) (string, bool) {
	if s != nil {
		if v, there := s.options[option]; there {
			return v, true
		}
	}
	v, there := c.defaults.options[option]
	return v, there
}

func readConfig(c *config, path string) error {
	data, err := plainfile.ReadFile(path, ordered.MaxBytes)
	if err != nil {
		return err
	}
	return c.parse(path, data)
}

func faultIn(path string, line int, hint, format string, args ...any) error {
	f := problem.Faultf(hint, format, args...)
	return &placed{problem.Problem{Source: path, Line: line, Reason: f.Reason, Hint: hint}}
}

// placed is a Problem as an error.
type placed struct{ problem.Problem }

func (p *placed) Error() string { return p.String() }

// Hint says what to do about it.
func (p *placed) Hint() string { return p.Problem.Hint }

// A reader holds where it stands in a file.
type reader struct {
	path    string
	line    int
	config  *config
	current *section
	seen    map[string]bool // sections, and options as section\noption, of this file
	option  string          // the one that a continued line belongs to
	indent  int             // of its first line
}

// parse adds a file; what it says counts over what files before it said.
func (c *config) parse(path string, data []byte) error {
	if len(data) > maxConfig {
		return faultIn(path, 0, "is this groups.conf?", "more than %d bytes", maxConfig)
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return faultIn(path, 0, "convert the text to UTF-8", "not a text in UTF-8")
	}
	r := &reader{path: path, config: c, seen: make(map[string]bool)}
	for line := range strings.Lines(string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))) {
		r.line++
		if err := r.read(strings.TrimRight(line, "\r\n")); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) read(line string) error {
	text := strings.TrimSpace(line)
	if text == "" || text[0] == '#' || text[0] == ';' {
		return nil
	}
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	if r.option != "" && indent > r.indent {
		r.current.options[r.option] += "\n" + text
		return nil
	}
	r.indent = indent
	if text[0] == '[' {
		return r.header(text)
	}
	at := strings.IndexAny(text, "=:")
	if at <= 0 {
		return faultIn(r.path, r.line, "write option: value", "%q is not an option", problem.Bounded(text))
	}
	if r.current == nil {
		return faultIn(r.path, r.line, "begin with [Main]", "an option before the first section")
	}
	name := strings.ToLower(strings.TrimSpace(text[:at]))
	key := r.current.name + "\n" + name
	if r.seen[key] {
		return faultIn(r.path, r.line, "keep one of them", "option %s of [%s] stands twice", name, r.current.name)
	}
	r.seen[key] = true
	r.option = name
	r.current.options[name] = strings.TrimSpace(text[at+1:])
	return nil
}

func (r *reader) header(text string) error {
	end := strings.LastIndexByte(text, ']')
	if end < 2 {
		return faultIn(r.path, r.line, "write [name]", "%q is not a section", problem.Bounded(text))
	}
	name := text[1:end]
	if r.seen[name] {
		return faultIn(r.path, r.line, "join the two", "section [%s] stands twice", problem.Bounded(name))
	}
	r.seen[name] = true
	r.option = ""
	r.current = &r.config.defaults
	if name != "DEFAULT" {
		if r.current = r.config.section(name); r.current == nil {
			r.current = &section{name: name}
			r.config.sections = append(r.config.sections, r.current)
		}
	}
	if r.current.options == nil {
		r.current.options = make(map[string]string)
	}
	return nil
}

// substitute replaces $NAME and ${NAME} of the given variables, and $$ by $; any
// other $ stays for the shell (Python, string.Template.safe_substitute).
func substitute(text string, values map[string]string) string {
	var b strings.Builder
	for {
		at := strings.IndexByte(text, '$')
		if at < 0 || at+1 == len(text) {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:at])
		text = text[at:]
		name, size := variable(text)
		value, known := values[name]
		switch {
		case text[1] == '$':
			b.WriteByte('$')
			size = 2
		case known:
			b.WriteString(value)
		default:
			size = max(size, 1)
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
}

// variable returns the name behind the $ that text begins with, and how long both are.
func variable(text string) (name string, size int) {
	rest, braced := strings.CutPrefix(text[1:], "{")
	length := 0
	for length < len(rest) {
		c := rest[length]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (length == 0 || c < '0' || c > '9') {
			break
		}
		length++
	}
	name = rest[:length]
	switch {
	case length == 0:
		return "", 0
	case !braced:
		return name, 1 + length
	case length < len(rest) && rest[length] == '}':
		return name, 1 + length + 2
	}
	return "", 0
}
