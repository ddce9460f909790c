// Package plainfile opens files named by a user and refuses FIFOs, sockets and devices,
// which could block: open(2) of a FIFO waits for a writer, perhaps for ever. It also replaces
// such files as a whole.
package plainfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"shoal/internal/hint"
)

// ErrNotPlain means that a path is neither a regular file nor a pipe that is already open.
var ErrNotPlain = errors.New("not a regular file")

// Open opens a regular file, a directory or /dev/null for reading. It also opens pipes
// that this process has inherited, such as a shell's <(…): their paths begin with /dev/fd/
// or /proc/self/fd/, or are /dev/stdin. One that no process writes to is empty. For everything else it returns an *fs.PathError
// that wraps ErrNotPlain and has a hint.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil || inherited(path) {
		return f, err
	}
	info, err := f.Stat()
	if err == nil && !plain(info.Mode(), path) {
		err = &fs.PathError{Op: "open", Path: path, Err: hint.Wrap(fmt.Errorf("%w but %s", ErrNotPlain, kind(info.Mode())), "name a file")}
	}
	if err != nil {
		_ = f.Close() // nothing was read
		return nil, err
	}
	return f, nil
}

func inherited(path string) bool {
	return path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")
}

func plain(m fs.FileMode, path string) bool { return m.IsRegular() || m.IsDir() || path == os.DevNull }

func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "a FIFO, whose writer may never come"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// ReadFile opens the file with Open and reads it. A file of more than limit bytes is an
// error.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("more than %d bytes", limit)
	}
	return data, err
}

// Guard refuses a directory or file that another user, except root, could have written to.
func Guard(path string, info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return hint.Wrap(fmt.Errorf("%q can be written by others (mode %04o)", path, perm),
			"chmod go-w it, or name another state directory")
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%q has no owner that can be checked", path)
	}
	if uid := int(owner.Uid); uid != os.Geteuid() && uid != 0 {
		return hint.Wrap(fmt.Errorf("%q belongs to another user (uid %d)", path, uid), "name another state directory")
	}
	return nil
}

// GuardDir is Guard for a path that must be a directory.
func GuardDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a directory", dir)
	}
	return Guard(dir, info)
}
