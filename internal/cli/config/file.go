package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// A file is a configuration file that was read.
type file struct {
	path    string
	foreign bool // of another user, who is not root

	top      section
	defaults map[string]section // by the command's path below shoal; "" is for all
	fleets   map[string]section
	commands map[string]section
}

// A section has values by the names of their flags.
type section map[string]value

// A value is what a flag is set to.
type value struct {
	texts []string
	from  string // where it was found
}

// readFile reads and checks the file at path; nil if there is none.
func readFile(path string, home string, known *commands) (*file, error) {
	text, foreign, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	name := short(path, home)
	entries, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	f := &file{
		path: path, foreign: foreign, top: section{},
		defaults: map[string]section{}, fleets: map[string]section{}, commands: map[string]section{},
	}
	c := checker{file: f, name: name, home: home, known: known, lines: map[string]int{}}
	return f, c.all(entries)
}

// load returns the text of a file that nobody else may write, and whether it is another user's.
func load(path string) (text []byte, foreign bool, err error) {
	in, err := plainfile.Open(path)
	if err != nil {
		return nil, false, fmt.Errorf("reading the configuration: %w", err)
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("reading the configuration: %w", err)
	}
	if info.IsDir() {
		return nil, false, fmt.Errorf("reading the configuration: %q is a directory", path)
	}
	if mode := info.Mode(); mode.IsRegular() {
		if mode.Perm()&0o022 != 0 {
			return nil, false, hint.Wrap(fmt.Errorf("the configuration %q can be written by others (mode %04o)", path, mode.Perm()),
				"chmod go-w it, after a look at what it says; --no-config goes without")
		}
		if dir, err := os.Stat(filepath.Dir(path)); err == nil && dir.Mode().Perm()&0o002 != 0 && dir.Mode()&fs.ModeSticky == 0 {
			return nil, false, hint.Wrap(fmt.Errorf("the configuration %q is in a directory that everybody can write to, and can be replaced", path),
				"chmod o-w the directory; --no-config goes without")
		}
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		foreign = int(owner.Uid) != os.Geteuid() && owner.Uid != 0
	}
	text, err = io.ReadAll(io.LimitReader(in, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%q is larger than %d bytes", path, maxFile)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the configuration: %w", err)
	}
	return text, foreign, nil
}

// short returns a path with ~ for the home directory.
func short(path, home string) string {
	if rest, ok := strings.CutPrefix(path, home+"/"); ok && home != "" {
		return "~/" + rest
	}
	return path
}

// absolute returns a file's name as it counts in a file in the directory dir.
func absolute(name, dir, home string) string {
	switch rest, ok := strings.CutPrefix(name, "~/"); {
	case ok && home != "":
		return filepath.Join(home, rest)
	case name == "", name == "-", name == "none", filepath.IsAbs(name):
		return name
	}
	return filepath.Join(dir, name)
}
