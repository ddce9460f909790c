package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	fileName  = "journal.db"
	locksName = "journal.locks"

	dirMode  = 0o700
	fileMode = 0o600
)

// prepare makes the directories and the empty database where they are missing,
// with exactly their modes whatever the umask, and refuses what somebody else
// could have written to.
func prepare(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), dirMode); err != nil {
		return err
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	if err := makeDir(filepath.Join(dir, locksName)); err != nil {
		return err
	}
	if err := makeFile(dir); err != nil {
		return err
	}
	return guardFiles(dir)
}

// guardFiles refuses files that somebody else could have written to.
func guardFiles(dir string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := guardFile(filepath.Join(dir, fileName+suffix)); err != nil {
			return err
		}
	}
	return nil
}

// refuseShared refuses a file system that several machines may have mounted: the
// log's index is memory that the processes of one machine share, and a lock there
// may hold on one machine only. Two of them would damage the journal, or resume
// one run together.
func refuseShared(dir string, o Options) error {
	for at := dir; ; at = filepath.Dir(at) {
		kind, err := o.filesystem(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue // it is made below its parent
		}
		if err == nil && kind != "" {
			return fmt.Errorf("%q is on a file system that several machines may use at once (%s), on which a journal does not hold\n"+
				"hint: name a state directory on a local disk; XDG_STATE_HOME is where the default one is", dir, kind)
		}
		return err
	}
}

func makeDir(dir string) error {
	switch err := os.Mkdir(dir, dirMode); {
	case err == nil:
		if err := os.Chmod(dir, dirMode); err != nil { // a umask may have taken more
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a directory", dir)
	}
	return guard(dir, info)
}

// makeFile makes an empty database under another name and links it into place.
// A file that SQLite may have open must not be opened and closed here: closing
// it would drop the POSIX locks that SQLite holds on it in this process.
func makeFile(dir string) error {
	path := filepath.Join(dir, fileName)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(dir, fileName+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // linked, or of no use
	err = errors.Join(f.Chmod(fileMode), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// guardFile refuses a file that is no plain file of ours, and takes from others
// the right to read it.
func guardFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is not a plain file\nhint: move it away, or name another state directory", path)
	}
	if err := guard(path, info); err != nil {
		return err
	}
	if info.Mode().Perm() != fileMode {
		return os.Chmod(path, fileMode)
	}
	return nil
}

// guard refuses a directory or file that somebody else could have written to.
func guard(path string, info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("%q can be written by others (mode %04o)\nhint: chmod go-w it, or name another state directory", path, perm)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%q has no owner that can be checked", path)
	}
	if uid := int(owner.Uid); uid != os.Geteuid() {
		return fmt.Errorf("%q belongs to another user (uid %d)\nhint: name another state directory", path, uid)
	}
	return nil
}
