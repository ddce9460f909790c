package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	fileName  = "journal.db"
	locksName = "journal.locks"

	dirMode  = 0o700
	fileMode = 0o600
)

// prepareFiles creates the missing directories and an empty database, with exactly the
// right modes whatever the umask is. It refuses files and directories that another
// user could have written to.
func prepareFiles(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), dirMode); err != nil {
		return err
	}
	for _, d := range []string{dir, filepath.Join(dir, locksName)} {
		if err := makeDir(d); err != nil {
			return err
		}
	}
	if err := makeFile(dir); err != nil {
		return err
	}
	return guardDatabase(dir)
}

// guardDatabase refuses database files that another user could have written to.
func guardDatabase(dir string) error {
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
func refuseShared(dir string, filesystem func(string) (string, error)) error {
	for at := dir; ; at = filepath.Dir(at) {
		kind, err := filesystem(at)
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

// A lock is an flock(2) on a file of its own. The kernel releases it when the process
// ends, for whatever reason.
type lock struct {
	file *os.File
}

var errLocked = errors.New("locked by another process")

// takeLock takes the exclusive lock on the named file. It polls until the deadline,
// because flock(2) has no timeout; the zero time means a single attempt.
func takeLock(dir, name string, deadline time.Time) (*lock, error) {
	const first, last = time.Millisecond, 50 * time.Millisecond
	path := filepath.Join(dir, locksName, name)
	for pause := first; ; pause = min(2*pause, last) {
		l, err := tryLock(path)
		if !errors.Is(err, errLocked) || !time.Now().Before(deadline) {
			return l, err
		}
		time.Sleep(pause)
	}
}

func tryLock(path string) (*lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, fileMode)
		if err != nil {
			return nil, err
		}
		if err := flock(f, syscall.LOCK_EX); err != nil {
			_ = f.Close() // nothing was written
			return nil, err
		}
		// The previous holder may have removed the file before we locked it.
		if current(f, path) {
			return &lock{f}, nil
		}
		_ = f.Close() // nothing was written
	}
}

func current(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(ours, named)
}

// release removes the file and drops the lock.
func (l *lock) release() error {
	return errors.Join(os.Remove(l.file.Name()), l.file.Close())
}

// drop releases the lock and leaves the file, as the death of the process would.
func (l *lock) drop() error { return l.file.Close() }

// held reports whether a process holds the lock. It takes a shared lock for a moment, so
// that two processes that ask do not disturb each other.
func held(dir, name string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, locksName, name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	err = flock(f, syscall.LOCK_SH)
	if errors.Is(err, errLocked) {
		return true, nil
	}
	return false, err
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		default:
			return fmt.Errorf("locking %q: %w", f.Name(), err)
		}
	}
}
