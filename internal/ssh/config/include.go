package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxDepth is the maximum depth of includes (READCONF_MAX_DEPTH).
const maxDepth = 16

func readInclude(l *line) error {
	if l.file == nil {
		return errNotOnCommandLine
	}
	words, err := l.all()
	if err != nil {
		return err
	}
	l.node.kind = nodeInclude
	for _, w := range words {
		expanded, err := l.loader.expandInclude(w)
		if err != nil {
			return err
		}
		pattern, err := l.anchor(expanded)
		if err != nil {
			return err
		}
		paths, err := glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			f, err := l.loader.include(path, l.user)
			if err != nil {
				return err
			}
			l.node.files = append(l.node.files, f)
		}
	}
	return nil
}

// tokensInclude are the %-tokens that mean the same for every host: a file is read once for all.
const tokensInclude = "Ldilu"

// expandInclude expands environment variables and tokens in an argument of Include, as OpenSSH
// does since 9.9; it is an error where they depend on the host.
func (l *loader) expandInclude(path string) (string, error) {
	t := &tokens{thisHost: l.local.Hostname, home: l.local.Home, uid: l.local.uid(), user: l.local.User}
	return t.expand(path, tokensInclude, l.local.Getenv)
}

// anchor returns the absolute path of an Include argument: relative to ~/.ssh in a user's
// configuration, otherwise to the system file's directory.
func (l *line) anchor(path string) (string, error) {
	switch {
	case strings.HasPrefix(path, "/"):
		return path, nil
	case !strings.HasPrefix(path, "~") && l.user:
		return filepath.Join(l.loader.local.Home, ".ssh") + "/" + path, nil
	case !strings.HasPrefix(path, "~"):
		return l.loader.systemDir + "/" + path, nil
	case !l.user:
		return "", fmt.Errorf("%.80q: the system's configuration cannot include from a home directory", path)
	}
	return l.loader.local.expandTilde(path)
}

// glob returns the files that a pattern matches, sorted, as glob(3) does: a wildcard does not
// match a leading dot.
func glob(pattern string) ([]string, error) {
	paths, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if errors.Is(err, filepath.ErrBadPattern) {
		// glob(3) treats an unclosed bracket literally.
		if _, err := os.Lstat(pattern); err != nil {
			return nil, nil
		}
		return []string{pattern}, nil
	}
	if err != nil {
		return nil, err
	}
	names := strings.Split(filepath.Clean(pattern), "/")
	paths = slices.DeleteFunc(paths, func(path string) bool {
		for i, name := range strings.Split(path, "/") {
			if strings.HasPrefix(name, ".") && i < len(names) && !strings.HasPrefix(names[i], ".") {
				return true
			}
		}
		return false
	})
	slices.Sort(paths)
	return paths, nil
}

// include reads an included file or returns it from those already read. Files that include
// themselves, directly or not, are errors: ssh detects them by its depth limit.
func (l *loader) include(path string, user bool) (*file, error) {
	switch {
	case slices.Contains(l.stack, path):
		return nil, fmt.Errorf("%s includes itself by way of %s", path, l.stack[len(l.stack)-1])
	case len(l.stack) > maxDepth:
		return nil, fmt.Errorf("including %s: more than %d levels deep", path, maxDepth)
	}
	key := fileKey{path, user}
	f := l.files[key]
	if f == nil {
		var err error
		if f, err = l.readFile(path, user, fileIncluded); err != nil {
			return nil, err
		}
		l.files[key] = f
	}
	if len(l.stack)+f.height > maxDepth {
		return nil, fmt.Errorf("including %s: more than %d levels deep", path, maxDepth)
	}
	return f, nil
}
