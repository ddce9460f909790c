package hostkeys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"shoal/internal/filelock"
)

// A lockedFile is open and locked against other processes. Close unlocks it.
type lockedFile interface {
	io.ReaderAt
	io.Writer // appends
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
}

// waits is how many times the wait for a lock begins anew while others write to the file.
const waits = 12

// lockFile opens the file, creating it and its directory if missing, and locks it against other
// processes. It waits longer while others take their turns: then the file changes. It gives up when ctx
// ends.
func lockFile(ctx context.Context, path string, wait time.Duration) (lockedFile, error) {
	return lockSame(ctx, path, wait, os.SameFile)
}

// lockSame is lockFile, which knows a file by same.
func lockSame(ctx context.Context, path string, wait time.Duration, same func(a, b fs.FileInfo) bool) (lockedFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	var seen fs.FileInfo
	deadline := time.Now().Add(wait)
	for left := waits; ; {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if seen == nil {
			if seen, err = f.Stat(); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
		current, err := lockOpened(ctx, f, path, deadline, same)
		if err == nil && current {
			return f, nil
		}
		now, statErr := f.Stat()
		_ = f.Close() // nothing was written
		switch {
		case err == nil && ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", errReplaced, context.Cause(ctx))
		case err == nil && time.Now().After(deadline): // or its inode number is another one each time
			return nil, errReplaced
		case err == nil:
			time.Sleep(time.Millisecond)
		case errors.Is(err, filelock.ErrLocked) && left > 0 && statErr == nil &&
			(now.Size() != seen.Size() || !now.ModTime().Equal(seen.ModTime())):
			left--
			seen, deadline = now, time.Now().Add(wait)
		default:
			return nil, err
		}
	}
}

var errReplaced = errors.New("it is replaced again and again")

// lockOpened locks the file and reports whether path still refers to it: it may have been
// replaced while we waited.
func lockOpened(ctx context.Context, f *os.File, path string, deadline time.Time, same func(a, b fs.FileInfo) bool) (current bool, err error) {
	if err := filelock.LockContext(ctx, f, deadline); err != nil {
		return false, err
	}
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && same(ours, named), err
}

// appendWhole appends the lines to the file, or nothing.
func appendWhole(f lockedFile, text []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			text = append([]byte{'\n'}, text...)
		}
	}
	n, err := f.Write(text)
	if err == nil || n == 0 {
		return err
	}
	// A part was written. Truncate it, unless a writer that does not lock, such as ssh(1), has
	// appended meanwhile; then the torn line remains as one bad line.
	if info, statErr := f.Stat(); statErr == nil && info.Size() == size+int64(n) {
		return errors.Join(err, f.Truncate(size))
	}
	return err
}
