package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

// The limits of a configuration with all that it includes.
const (
	maxBytes  = 16 << 20  // read from files
	maxFiles  = 4096      // read
	maxWeight = 1_000_000 // lines evaluated per host; a file included twice counts twice
)

// A loader reads configuration files.
type loader struct {
	local      *Local
	algorithms *Algorithms
	systemDir  string // base directory of relative includes in the system file
	keywords   map[string]*keyword

	files     map[fileKey]*file
	stack     []string // paths of the files being read
	problems  Problems
	bytes     int64
	count     int
	wantFinal bool
}

// A fileKey identifies a parsed file: all that its meaning depends on.
type fileKey struct {
	path string
	user bool
}

// A fileRole says why a file is read.
type fileRole uint8

const (
	fileNamed    fileRole = iota // by -F: its owner and mode are not checked
	fileUser                     // ~/.ssh/config: may be missing
	fileSystem                   // /etc/ssh/ssh_config: may be missing, not checked
	fileIncluded                 // checked
)

// readFile reads a file and its includes. Bad lines are added to l.problems. A missing file
// that may be missing is returned as an empty one.
func (l *loader) readFile(path string, user bool, role fileRole) (*file, error) {
	text, err := l.readText(path, role)
	if errors.Is(err, fs.ErrNotExist) && (role == fileUser || role == fileSystem) {
		return &file{path: path, plain: true}, nil
	}
	if err != nil {
		return nil, err
	}
	return l.parse(path, text, user)
}

// parse parses the text of a file.
func (l *loader) parse(path, text string, user bool) (*file, error) {
	l.stack = append(l.stack, path)
	defer func() { l.stack = l.stack[:len(l.stack)-1] }()
	f := &file{path: path, plain: true}
	number := 0
	for text := range strings.Lines(text) {
		number++
		in := &line{loader: l, source: &Source{path, number}, user: user, file: f}
		used, err := in.read(strings.TrimSuffix(text, "\n"))
		if err != nil {
			l.problems = append(l.problems, &Problem{*in.source, in.keyword, err})
			continue
		}
		if !used {
			continue
		}
		if err := f.add(in.node); err != nil {
			return nil, err
		}
	}
	f.link()
	return f, nil
}

// link sets the node to continue at while lines do not apply: the next one that has an effect
// nevertheless.
func (f *file) link() {
	next := len(f.nodes)
	for i := len(f.nodes) - 1; i >= 0; i-- {
		n := &f.nodes[i]
		always := slices.ContainsFunc(n.settings, func(s *setting) bool { return s.op.actsAlways() })
		if n.kind != nodeSettings || always {
			next = i
		}
		n.next = max(next, i+1)
	}
}

// add appends a node and counts it.
func (f *file) add(n node) error {
	f.weight++
	f.plain = f.plain && n.kind != nodeUnknown
	for _, s := range n.settings {
		f.plain = f.plain && !s.op.actsAlways()
	}
	for _, sub := range n.files {
		f.weight += sub.weight
		f.height = max(f.height, sub.height+1)
		f.plain = f.plain && sub.plain
	}
	if f.weight > maxWeight {
		return fmt.Errorf("%s: more than %d lines with all that it includes", f.path, maxWeight)
	}
	f.nodes = append(f.nodes, n)
	return nil
}

// readText reads a file within the limits. A directory counts as empty, as in ssh when an
// Include wildcard matches one.
func (l *loader) readText(path string, role fileRole) (string, error) {
	if l.count++; l.count > maxFiles {
		return "", fmt.Errorf("more than %d configuration files", maxFiles)
	}
	f, err := plainfile.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case role == fileNamed:
	case info.IsDir():
		return "", nil
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	if role == fileUser || role == fileIncluded {
		if err := checkOwner(path, info, l.local.UID); err != nil {
			return "", err
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBytes-l.bytes+1))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	if l.bytes += int64(len(text)); l.bytes > maxBytes {
		return "", fmt.Errorf("%s: configuration of more than %d bytes", path, maxBytes)
	}
	return string(text), nil
}

// checkOwner refuses a file that another user could have written: its owner must be root or us,
// and only the owner may have write permission (readconf.c).
func checkOwner(path string, info fs.FileInfo, uid int) error {
	const advice = "chmod go-w, and chown to yourself"
	if info.Mode().Perm()&0o022 != 0 {
		return hint.Wrap(fmt.Errorf("%s: others may write to it (mode %#o)", path, info.Mode().Perm()), advice)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != uid {
		return hint.Wrap(fmt.Errorf("%s: belongs to user %d", path, stat.Uid), advice)
	}
	return nil
}
