package groups

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"shoal/hosts/expr"
	"shoal/hosts/internal/extcmd"
	"shoal/hosts/internal/problem"
)

// defaultCache is how long an answer of an upcall counts.
const defaultCache = 3600 * time.Second

// An upcaller is a source whose groups programs tell.
type upcaller struct {
	dir      string // $CFGDIR, and where they run
	commands map[string]string
	keep     time.Duration
	cache    map[string]answer // by the command line
}

type answer struct {
	text    string
	expires time.Time
}

// upcalls adds the sources of a configuration's sections; a section may name
// several, with commas between.
func (r *Resolver) upcalls(c *config, dir, path string) error {
	for _, s := range c.sections {
		for name := range strings.SplitSeq(s.name, ",") {
			if name == "Main" {
				continue
			}
			u := &upcaller{dir: dir, commands: make(map[string]string), keep: defaultCache, cache: make(map[string]answer)}
			for _, what := range []string{"map", "all", "list", "reverse"} {
				if command, _ := c.get(s, what); command != "" {
					u.commands[what] = command
				}
			}
			if u.commands["map"] == "" {
				return faultIn(path, 0, "write map: COMMAND", "source [%s] has no map upcall", problem.Bounded(s.name))
			}
			if text, there := c.get(s, "cache_time"); there {
				seconds, err := strconv.ParseFloat(text, 64)
				if err != nil || seconds < 0 || seconds > 1e9 {
					return faultIn(path, 0, "write a number of seconds", "cache_time %q of source [%s]", problem.Bounded(text), problem.Bounded(s.name))
				}
				u.keep = time.Duration(seconds * float64(time.Second))
			}
			if err := r.add(path, &source{name: name, kind: u}); err != nil {
				return err
			}
		}
	}
	return nil
}

// run makes an upcall or takes what it said before.
func (u *upcaller) run(r *Resolver, s *source, what string, values map[string]string) (string, error) {
	for name, value := range values {
		if err := extcmd.Word(value); err != nil {
			return "", fmt.Errorf("$%s for the %s upcall of source %s: %w", name, what, s.name, err)
		}
	}
	template := u.commands[what]
	filled := map[string]string{"SOURCE": s.name, "CFGDIR": u.dir}
	for name, value := range filled {
		if !mentions(template, name) {
			delete(filled, name)
			continue
		}
		check := extcmd.Word
		if name == "CFGDIR" {
			check = extcmd.Path
		}
		if err := check(value); err != nil {
			return "", fmt.Errorf("$%s for the %s upcall of source %s: %w", name, what, problem.Bounded(s.name), err)
		}
	}
	for name, value := range values {
		filled[name] = value
	}
	command := substitute(template, filled)
	if known, there := u.cache[command]; there && r.opts.Now().Before(known.expires) {
		return known.text, nil
	}
	out, err := extcmd.Shell(r.ctx, command, u.dir, r.opts.Limits)
	if err != nil {
		return "", fmt.Errorf("%s upcall of source %s: %w", what, s.name, err)
	}
	text := strings.TrimSpace(string(out))
	u.cache[command] = answer{text: text, expires: r.opts.Now().Add(u.keep)}
	return text, nil
}

// mentions reports whether a command line has the variable in it.
func mentions(template, name string) bool {
	const probe = "\x00"
	return strings.Contains(substitute(template, map[string]string{name: probe}), probe)
}

func (u *upcaller) group(r *Resolver, s *source, name string) (string, error) {
	text, err := u.run(r, s, "map", map[string]string{"GROUP": name})
	if err != nil || text != "" || u.commands["list"] == "" {
		return joined(text), err
	}
	names, err := u.names(r, s)
	if err != nil {
		return "", err
	}
	for _, known := range names {
		if known == name {
			return "", nil
		}
	}
	return "", noGroup(s.name, name, names)
}

func (u *upcaller) names(r *Resolver, s *source) ([]string, error) {
	if u.commands["list"] == "" {
		return nil, problem.Faultf("write list: COMMAND in its section", "source %s of groups has no list upcall", s.name)
	}
	text, err := u.run(r, s, "list", nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for word := range strings.FieldsSeq(text) {
		if !strings.ContainsRune(word, '[') {
			names = append(names, word)
			continue
		}
		expanded, err := expr.Expand(word)
		if err != nil {
			return nil, fmt.Errorf("list upcall of source %s: %w", s.name, err)
		}
		names = append(names, expanded...)
	}
	return names, nil
}

func (u *upcaller) all(r *Resolver, s *source) (string, bool, error) {
	if u.commands["all"] == "" {
		return "", false, nil
	}
	text, err := u.run(r, s, "all", nil)
	return joined(text), true, err
}

func (u *upcaller) reverse(r *Resolver, s *source, node string) ([]string, error) {
	if u.commands["reverse"] == "" {
		return nil, ErrNoReverse
	}
	text, err := u.run(r, s, "reverse", map[string]string{"NODE": node})
	return strings.Fields(text), err
}

// joined makes one expression of the words that an upcall printed.
func joined(text string) string { return strings.Join(strings.Fields(text), ",") }

func noGroup(source, name string, known []string) error {
	hint := "the source has no groups"
	if len(known) > 0 {
		hint = "known are " + problem.Bounded(strings.Join(known, ", "))
	}
	return problem.Faultf(hint, "no group %q in source %s", problem.Bounded(name), source)
}
