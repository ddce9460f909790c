package groups

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"shoal/hosts/internal/problem"
)

func (r *Resolver) load() error {
	var c config
	dir := ""
	for _, path := range r.opts.Files {
		switch err := readConfig(&c, path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			dir = filepath.Dir(path)
		}
	}
	if dir == "" {
		return nil
	}
	main := c.section("Main")
	confdirs, there := c.get(main, "groupsdir")
	if !there {
		confdirs, _ = c.get(main, "confdir")
	}
	if err := r.eachFile(confdirs, dir, "*.conf", r.part); err != nil {
		return err
	}
	autodirs, _ := c.get(main, "autodir")
	if err := r.eachFile(autodirs, dir, "*.yaml", r.yaml); err != nil {
		return err
	}
	if err := r.upcalls(&c, dir, r.opts.Files[len(r.opts.Files)-1]); err != nil {
		return err
	}
	return r.choose(&c, main)
}

// choose finds the default source: Main's or, failing that, the first.
func (r *Resolver) choose(c *config, main *section) error {
	if name, _ := c.get(main, "default"); name != "" {
		if r.byName[name] == nil {
			return problem.Faultf("write its section, or change default in [Main]", "the default source of groups %q is not there", problem.Bounded(name))
		}
		r.standby = name
	} else if len(r.sources) > 0 {
		r.standby = r.sources[0].name
	}
	return nil
}

// eachFile reads the files of a list of directories, each directory once, those
// that do not exist passed over.
func (r *Resolver) eachFile(dirs, cfgdir, pattern string, read func(path string) error) error {
	seen := make(map[string]bool)
	for _, dir := range strings.Fields(dirs) {
		dir = filepath.Clean(substitute(strings.Trim(dir, `"'`), map[string]string{"CFGDIR": cfgdir}))
		if seen[dir] {
			continue
		}
		seen[dir] = true
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if match, _ := filepath.Match(pattern, e.Name()); !match || e.Name()[0] == '.' {
				continue
			}
			if err := read(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// part reads a file of confdir, whose upcalls run in that directory.
func (r *Resolver) part(path string) error {
	var c config
	if err := readConfig(&c, path); err != nil {
		return err
	}
	return r.upcalls(&c, filepath.Dir(path), path)
}

func (r *Resolver) add(path string, s *source) error {
	if r.byName[s.name] != nil {
		return faultIn(path, 0, "give one of them another name", "source of groups %q is there already", problem.Bounded(s.name))
	}
	r.byName[s.name] = s
	r.sources = append(r.sources, s)
	return nil
}

// qualify names the source of the groups that an expression holds: inside of a
// source @name means the same source (ClusterShell, NodeSet.py, parse_string).
func qualify(expression, source string) string {
	if strings.IndexByte(expression, '@') < 0 {
		return expression
	}
	var b strings.Builder
	start := true // of a term
	for i := range len(expression) {
		c := expression[i]
		b.WriteByte(c)
		if c == '@' && start && i+1 < len(expression) && expression[i+1] != '@' {
			term := expression[i+1:]
			if end := strings.IndexAny(term, ",!&^ \t"); end >= 0 {
				term = term[:end]
			}
			if !strings.ContainsRune(term, ':') {
				b.WriteString(source + ":")
			}
		}
		start = strings.IndexByte(",!&^ \t", c) >= 0
	}
	return b.String()
}
