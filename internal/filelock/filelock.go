// Package filelock locks files against other processes with flock(2).
package filelock

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Lock takes an exclusive flock(2) on f, which lasts until f is closed. It polls until the
// deadline, because flock has no timeout.
func Lock(f *os.File, deadline time.Time) error {
	const first, last = time.Millisecond, 50 * time.Millisecond
	for pause := first; ; pause = min(2*pause, last) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("locking %q: %w", f.Name(), err)
		case time.Now().After(deadline):
			return fmt.Errorf("%q stays locked by another process", f.Name())
		default:
			time.Sleep(pause)
		}
	}
}
