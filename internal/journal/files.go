package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"shoal/internal/filelock"
	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

const (
	fileName  = "journal.db"
	locksName = "journal.locks"

	dirMode  = 0o700
	fileMode = 0o600
)

// makeDirs creates the missing directories, with exactly the right modes whatever the umask
// is. It refuses directories that another user could have written to.
func makeDirs(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), dirMode); err != nil {
		return err
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	return makeDir(filepath.Join(dir, locksName))
}

// refuseShared refuses a file system that several machines may have mounted. The
// index of the write-ahead log is memory shared by the processes of one machine, and
// a lock may hold on one machine only: two machines would damage the journal or
// resume the same run.
func refuseShared(dir string, filesystem func(string) (string, error)) error {
	for at := dir; ; at = filepath.Dir(at) {
		kind, err := filesystem(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue // dir does not exist yet; look at its parent
		}
		if err == nil && kind != "" {
			return hint.Wrap(fmt.Errorf("%q is on a file system that several machines may use at once (%s), on which a journal does not hold", dir, kind),
				"name a state directory on a local disk; XDG_STATE_HOME is where the default one is")
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
	return plainfile.GuardDir(dir)
}

// makeFile creates the database, empty, if it does not exist. Called with the setup lock
// held: closing a file that SQLite has open would drop the POSIX locks that it holds on it
// in this process.
func makeFile(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(fileMode), f.Close()) // the umask may have removed bits
}

// guardDatabase refuses database files that are not regular files of this user or that
// others could have written to, and removes the permissions of other users.
func guardDatabase(dir string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		path := filepath.Join(dir, fileName+suffix)
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && !info.Mode().IsRegular():
			err = hint.Wrap(fmt.Errorf("%q is not a plain file", path), "move it away, or name another state directory")
		case err == nil:
			err = plainfile.Guard(path, info)
		}
		if err == nil && info.Mode().Perm() != fileMode {
			err = os.Chmod(path, fileMode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A lock is an flock(2) on a file of its own. The kernel releases it when the process
// ends, for whatever reason.
type lock struct{ file *os.File }

// takeLock takes the exclusive lock on the named file. It polls until the deadline,
// because flock(2) has no timeout; the zero time means a single attempt.
func takeLock(dir, name string, deadline time.Time) (*lock, error) {
	const first, last = time.Millisecond, 50 * time.Millisecond
	for pause := first; ; pause = min(2*pause, last) {
		l, err := tryLock(dir, name, os.O_RDWR|os.O_CREATE, syscall.LOCK_EX)
		if !errors.Is(err, filelock.ErrLocked) || !time.Now().Before(deadline) {
			return l, err
		}
		time.Sleep(pause)
	}
}

// held reports whether a process holds the lock. It takes a shared lock for a moment, so
// that two processes that ask do not disturb each other.
func held(dir, name string) (bool, error) {
	l, err := tryLock(dir, name, os.O_RDONLY, syscall.LOCK_SH)
	switch {
	case errors.Is(err, filelock.ErrLocked):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, l.drop()
}

func tryLock(dir, name string, flag, how int) (*lock, error) {
	path := filepath.Join(dir, locksName, name)
	for {
		f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, fileMode)
		if err != nil {
			return nil, err
		}
		if err := filelock.Try(f, how); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		// The previous holder may have removed the file before we locked it.
		ours, failed := f.Stat()
		if named, err := os.Lstat(path); failed == nil && err == nil && os.SameFile(ours, named) {
			return &lock{f}, nil
		}
		_ = f.Close() // nothing was written
	}
}

// release removes the file and drops the lock. A nil lock has nothing to release.
func (l *lock) release() error {
	if l == nil {
		return nil
	}
	return errors.Join(os.Remove(l.file.Name()), l.file.Close())
}

// drop releases the lock and leaves the file, as the death of the process would.
func (l *lock) drop() error { return l.file.Close() }

// Exists reports whether there is a journal in dir, without creating one. Whether it
// can be read is left to Open.
func Exists(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, fileName))
	return !errors.Is(err, fs.ErrNotExist)
}
