package ansible

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

// varsBeside reads group_vars and host_vars of the directory that a source is, or
// is in (plugins/vars/host_group_vars.py).
func (l *loader) varsBeside(source string) {
	number := l.inv.sources
	l.inv.sources++
	base := source
	if info, err := os.Stat(source); err != nil || !info.IsDir() {
		base = filepath.Dir(source)
	}
	l.read[realPath(base)] = true
	l.varsDir(filepath.Join(base, "group_vars"), func(name, path string) {
		if g := l.inv.groups[name]; g != nil {
			var told vars
			l.varsPath(path, &told)
			if g.files == nil {
				g.files = make(map[int]vars)
			}
			g.files[number] = told
		}
	})
	l.varsDir(filepath.Join(base, "host_vars"), func(name, path string) {
		if h := l.inv.hosts[name]; h != nil {
			l.varsPath(path, &h.files)
		}
	})
}

// varsExtensions in the order in which Ansible looks for a name: the first that
// exists counts alone.
var varsExtensions = []string{"", ".yml", ".yaml", ".json"}

// varsDir finds the files of one directory that count for a name. It lists the directory once
// rather than asking four times for each of 60,000 hosts.
func (l *loader) varsDir(dir string, found func(name, path string)) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		l.unreadable(dir, err)
		return
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, e := range entries {
		for i, ext := range varsExtensions {
			name, is := strings.CutSuffix(e.Name(), ext)
			if !is || name == "" || slices.ContainsFunc(varsExtensions[:i], func(before string) bool { return there[name+before] }) {
				continue
			}
			found(name, filepath.Join(dir, e.Name()))
		}
	}
}

// varsPath reads a file of variables, or all files of a directory, sorted.
func (l *loader) varsPath(path string, into *vars) {
	info, err := os.Stat(path)
	if err != nil {
		l.unreadable(path, err)
		return
	}
	if !info.IsDir() {
		l.varsFile(path, into)
		return
	}
	leave, ok := l.enter(path)
	if !ok {
		return
	}
	defer leave()
	entries, err := os.ReadDir(path)
	if err != nil {
		l.unreadable(path, err)
		return
	}
	for _, e := range entries {
		name := e.Name()
		ext := filepath.Ext(name)
		if name[0] == '.' || strings.HasSuffix(name, "~") {
			continue
		}
		if e.IsDir() && ext == "" || !e.IsDir() && slices.Contains(varsExtensions, ext) {
			l.varsPath(filepath.Join(path, name), into)
		}
	}
}

func (l *loader) varsFile(path string, into *vars) {
	data, err := read(path)
	if err != nil {
		l.unreadable(path, err)
		return
	}
	if bytes.HasPrefix(data, []byte("$ANSIBLE_VAULT;")) {
		if l.vaults++; l.vaults == 1 {
			l.vault = path
		}
		return
	}
	n, f := ordered.YAML(data)
	switch {
	case f != nil:
		l.fault(path, f)
		return
	case n.Kind != ordered.Map && n.Kind != ordered.Null:
		l.problems.Add(problem.Problem{Source: path, Reason: "the file is " + n.Kind.String() + ", not a mapping of variables", Hint: "write name: value"})
		return
	}
	p := &structReader{loader: l, source: path}
	p.variables(n, func(line int, name string, v Value) {
		if !into.set(name, v) {
			l.tooMany(path, line)
		}
	})
}
