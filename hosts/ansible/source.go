package ansible

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
	"shoal/internal/plainfile"
)

// maxDirs bounds how deep directories nest.
const maxDirs = 16

// maxPassedOver bounds how many files that were passed over are remembered.
const maxPassedOver = 20

// ignored are what Ansible passes over in a directory (INVENTORY_IGNORE_EXTS).
var ignored = []string{".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".ini", ".cfg", ".retry"}

// path reads a file, a program or a directory.
func (l *loader) path(ctx context.Context, path string, depth int) {
	info, err := os.Stat(path)
	if err != nil {
		l.unreadable(path, err)
		return
	}
	if !info.IsDir() {
		l.file(ctx, path, info)
		return
	}
	if depth == maxDirs {
		l.problems.Add(problem.Problem{Source: path, Reason: fmt.Sprintf("directories nested deeper than %d", maxDirs)})
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
		if name[0] == '.' || name == "host_vars" || name == "group_vars" || name == "vars_plugins" {
			continue
		}
		if slices.ContainsFunc(ignored, func(ext string) bool { return strings.HasSuffix(name, ext) }) {
			if len(l.passedOver) < maxPassedOver {
				l.passedOver = append(l.passedOver, filepath.Join(path, name))
			}
			continue
		}
		l.path(ctx, filepath.Join(path, name), depth+1)
	}
}

// enter reports whether a directory is not inside itself, as a symbolic link can make it. The
// caller calls leave when it has read all that is in it.
func (l *loader) enter(dir string) (leave func(), ok bool) {
	real := realPath(dir)
	if l.inside[real] {
		l.problems.Add(problem.Problem{Source: dir, Reason: "a directory inside itself", Hint: "remove the symbolic link"})
		return nil, false
	}
	l.inside[real] = true
	return func() { delete(l.inside, real) }, true
}

func (l *loader) unreadable(path string, err error) {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	l.problems.Add(problem.Problem{Source: path, Reason: "it cannot be read: " + err.Error(), Hint: "check the path and its permissions"})
}

func (l *loader) file(ctx context.Context, path string, info fs.FileInfo) {
	data, err := read(path)
	if err != nil {
		l.unreadable(path, err)
		return
	}
	script := bytes.HasPrefix(data, []byte("#!"))
	binary := bytes.IndexByte(data[:min(len(data), 512)], 0) >= 0
	executable := info.Mode()&0o111 != 0
	switch ext := filepath.Ext(path); {
	case executable && (script || binary):
		l.program(ctx, path)
	case script:
		l.problems.Add(problem.Problem{Source: path, Reason: "a program that may not be executed", Hint: "chmod +x it"})
	case binary:
		l.problems.Add(problem.Problem{Source: path, Reason: "not a text file", Hint: "name an inventory"})
	case ext == ".toml":
		l.problems.Add(problem.Problem{Source: path, Reason: "TOML inventories are not read", Hint: "convert it: ansible-inventory -i FILE --list --yaml"})
	case ext == ".json":
		n, f := ordered.JSON(data)
		l.structured(path, n, f)
	case ext == ".yml", ext == ".yaml", ext == "" && looksYAML(data):
		n, f := ordered.YAML(data)
		l.structured(path, n, f)
	default:
		l.ini(path, data)
	}
}

// read returns a file of bounded size, without a byte-order mark.
func read(path string) ([]byte, error) {
	data, err := plainfile.ReadFile(path, ordered.MaxBytes)
	if err != nil {
		return nil, err
	}
	return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), nil
}

// looksYAML judges by the first line that counts: a file without extension may be
// either.
func looksYAML(data []byte) bool {
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || line[0] == ';' {
			continue
		}
		if at := bytes.Index(line, []byte(" #")); at >= 0 {
			line = bytes.TrimSpace(line[:at])
		}
		return line[0] == '{' || bytes.HasPrefix(line, []byte("---")) ||
			line[0] != '[' && bytes.HasSuffix(line, []byte(":")) && !bytes.ContainsAny(line, " \t=")
	}
	return false
}
