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
