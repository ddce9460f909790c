// Package filelock locks files against other processes with flock(2).
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// Try takes a flock(2) on f without waiting: how is unix.LOCK_EX or unix.LOCK_SH. The error
// is ErrLocked if another process has a lock that excludes it.
func Try(f *os.File, how int) error {
	for {
		switch err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrLocked
		default:
			return fmt.Errorf("locking %q: %w", f.Name(), err)
		}
	}
}

// Lock takes an exclusive flock(2) on f, which lasts until f is closed. It polls until the
// deadline, because flock has no timeout; the error is then ErrLocked. It polls often, or
// those that take the lock again and again would leave it few chances.
func Lock(f *os.File, deadline time.Time) error {
	return LockContext(context.Background(), f, deadline)
}

// LockContext is Lock, and gives up with the cause of ctx when that ends.
func LockContext(ctx context.Context, f *os.File, deadline time.Time) error {
	const first, last = time.Millisecond, 10 * time.Millisecond
	for pause := first; ; pause = min(2*pause, last) {
		err := Try(f, unix.LOCK_EX)
		switch {
		case !errors.Is(err, ErrLocked):
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%q stays %w", f.Name(), ErrLocked)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%q stays %w: %w", f.Name(), ErrLocked, context.Cause(ctx))
		}
	}
}
