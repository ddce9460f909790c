package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shoal/fleet"
)

// No other user can read or write, whatever the umask.
// faults.md: I07
func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o077, 0o777} {
		t.Run(fmt.Sprintf("%03o", umask), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			old := syscall.Umask(umask)
			defer syscall.Umask(old)
			j := mustOpen(t, dir, Options{})
			r := mustBegin(t, j, RunInfo{}, targetsOf(1))
			check(t, r.Intend(0, 1, netip.AddrPort{}))
			seen := 0
			check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := d.Info()
				if err != nil {
					return err
				}
				want := fs.FileMode(fileMode)
				if d.IsDir() {
					want = dirMode
				}
				if strings.Contains(path, locksName+"/") {
					want &= info.Mode() // it is empty; the umask may remove more
				}
				if seen++; info.Mode().Perm() != want {
					t.Errorf("%s has mode %04o", path, info.Mode().Perm())
				}
				return nil
			}))
			if seen < 6 { // the directories, the database, -wal, -shm, a lock
				t.Errorf("%d files", seen)
			}
			check(t, r.End(Ending{}))
		})
	}
}

// faults.md: I07
func TestRefusedPlaces(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(dir string) error
		want string
	}{
		{"group may write the directory", func(dir string) error { return os.Chmod(dir, 0o770) }, "can be written by others"},
		{"others may write the directory", func(dir string) error { return os.Chmod(dir, 0o702) }, "can be written by others"},
		{"others may write the locks", func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, locksName), 0o700), os.Chmod(filepath.Join(dir, locksName), 0o777))
		}, "can be written by others"},
		{"others may write the database", func(dir string) error {
			path := filepath.Join(dir, fileName)
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666))
		}, "can be written by others"},
		{"the database is a link", func(dir string) error {
			return os.Symlink("/etc/hostname", filepath.Join(dir, fileName))
		}, "is not a plain file"},
		{"the log is a link", func(dir string) error {
			return os.Symlink("/etc/hostname", filepath.Join(dir, fileName+"-wal"))
		}, "is not a plain file"},
		{"the database is a directory", func(dir string) error {
			return os.Mkdir(filepath.Join(dir, fileName), 0o700)
		}, "is not a plain file"},
		{"the database is something else", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, fileName), []byte(strings.Repeat("no database\n", 100)), 0o600)
		}, "hint: move the file away"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			check(t, os.Chmod(dir, 0o700))
			check(t, c.make(dir))
			j, err := Open(context.Background(), dir, Options{})
			if err == nil {
				_ = j.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
		})
	}
}

// Permissions of other users on a file are removed.
// faults.md: I07
func TestReadableIsTightened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	check(t, errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o644)))
	mustOpen(t, dir, Options{})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != fileMode {
		t.Error(info.Mode(), err)
	}
}

// Names with characters that have a meaning in URIs work.
func TestStrangeDirectories(t *testing.T) {
	for _, name := range []string{"a?mode=memory", "b#c", "d%41e", "f g", "h&_pragma=x"} {
		dir := filepath.Join(t.TempDir(), name)
		sampleRun(t, mustOpen(t, dir, Options{}))
		if info, err := os.Stat(filepath.Join(dir, fileName)); err != nil || info.Size() == 0 {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// With NoCommand no byte of a command is in any file: while the run is running, after a
// crash, and at its end.
func TestCommandIsNotKept(t *testing.T) {
	const canary = "s3cr3t-canary"
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	target := targetOf(0)
	target.Command = "login " + canary
	info := RunInfo{NoCommand: true}
	info.Command = "login " + canary
	targets := func(yield func(fleet.Target) bool) { yield(target) }
	r := mustBegin(t, j, info, targets)
	check(t, r.Intend(0, 1, netip.AddrPort{}))
	check(t, r.Result(okResult(target, "done")))
	check(t, r.Flush())
	scan(t, dir, canary, false)
	check(t, r.End(Ending{}))
	got, err := j.Select(t.Context(), r.ID(), All)
	check(t, err)
	if got[0].Command != "" {
		t.Errorf("%q", got[0].Command)
	}
	check(t, j.Close())
	scan(t, dir, canary, false)

	// Check that the search can find something.
	j = mustOpen(t, dir, Options{})
	info.NoCommand = false
	check(t, mustBegin(t, j, info, targets).End(Ending{}))
	scan(t, dir, canary, true)
}

func scan(t *testing.T, dir, canary string, want bool) {
	t.Helper()
	found, files := false, 0
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		found = found || strings.Contains(string(content), canary)
		return err
	}))
	if found != want || files == 0 {
		t.Errorf("found: %v, in %d files", found, files)
	}
}
