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

// prepare creates the missing directories and an empty database, with exactly the
// right modes whatever the umask is. It refuses files and directories that another
// user could have written to.
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

// guardFiles refuses database files that another user could have written to.
func guardFiles(dir string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := guardFile(filepath.Join(dir, fileName+suffix)); err != nil {
			return err
		}
	}
	return nil
}

// refuseShared refuses a file system that several machines may have mounted. The
// index of the write-ahead log is memory shared by the processes of one machine, and
// a lock may hold on one machine only: two machines would damage the journal or
// resume the same run.
func refuseShared(dir string, o Options) error {
	for at := dir; ; at = filepath.Dir(at) {
		kind, err := o.filesystem(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue // dir does not exist yet; look at its parent
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
		if err := os.Chmod(dir, dirMode); err != nil { // the umask may have removed bits
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

// makeFile creates an empty database under a temporary name and links it into place.
// It must not open and close a file that SQLite may have open: close would drop the
// POSIX locks that SQLite holds on it in this process.
func makeFile(dir string) error {
	path := filepath.Join(dir, fileName)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(dir, fileName+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // either linked or not needed
	err = errors.Join(f.Chmod(fileMode), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// guardFile refuses anything but a regular file of this user, and removes the
// permissions of other users.
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

// guard refuses a directory or file that another user could have written to.
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

// Exists reports whether there is a journal in dir, without creating one. Whether it
// can be read is left to Open.
func Exists(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, fileName))
	return !errors.Is(err, fs.ErrNotExist)
}
