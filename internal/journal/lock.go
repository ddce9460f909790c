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

// A lock is held on a file of its own with flock(2). The kernel drops it when
// the process ends, however it ends.
type lock struct {
	file *os.File
}

var errLocked = errors.New("locked by another process")

// takeLock locks the named file for us alone. It asks again and again until the
// deadline, since flock(2) has none of its own; the zero time means to ask once.
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
		// It may have been removed by its last holder before we had it.
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

// drop leaves the file where it is, as the end of the process would.
func (l *lock) drop() error { return l.file.Close() }

// held says whether somebody holds the lock. It takes the lock shared for a
// moment, so that two who ask do not disturb each other.
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
