package trust

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"shoal/fleet"
)

// An appender adds lines to a known_hosts file that other processes may write
// to as well. Its methods are for one goroutine at a time.
type appender struct {
	path string
	wait time.Duration // how long to wait for the lock
	read position      // how far known_hosts has been read
	tail *index        // what others, and we, have written since Open
}

var errNotChecked = errors.New("a key is learned that was never accepted for this host")

// write adds the lessons to the file, as one write of whole lines under a lock,
// and gives each its error. What the file says meanwhile wins: a line that is
// there is not written again, and one that contradicts makes the lesson fail.
func (a *appender) write(batch []*lesson) {
	f, err := a.lock()
	if err == nil {
		err = a.writeLocked(f, batch)
		err = errors.Join(err, f.Close()) // which unlocks it
	}
	if err == nil {
		return
	}
	err = fmt.Errorf("learning host keys: %w\n"+
		"hint: make %q writable and free space for it, or write the keys elsewhere", err, a.path)
	for _, l := range batch {
		if l.err == nil {
			l.err = refuse(l.target, fleet.ReasonStoreFailed, err)
		}
	}
}

func (a *appender) writeLocked(f *os.File, batch []*lesson) error {
	if err := a.catchUp(f); err != nil {
		return err
	}
	var text []byte
	fresh := make(map[string]ssh.PublicKey) // by name, in this batch
	for _, l := range batch {
		if fresh[l.name] != nil {
			continue // claims are one key per name
		}
		v := decide(a.tail.lookup(l.name), l.key.Type(), string(l.key.Marshal()))
		switch v.status {
		case revoked:
			l.err = refuse(l.target, fleet.ReasonHostkeyRevoked, revokedBy(l.name, l.key, v.line))
		case changed:
			l.err = refuse(l.target, fleet.ReasonHostkeyChanged, changedFrom(l.name, l.key, v.line))
		case unknown:
			fresh[l.name] = l.key
			text = fmt.Appendf(text, "%s %s %s\n", l.name, l.key.Type(),
				base64.StdEncoding.EncodeToString(l.key.Marshal()))
		}
	}
	if len(text) == 0 {
		return nil
	}
	return appendWhole(f, text)
}

// catchUp reads what was written since the file was last read; all of it when
// another file stands in its place (ssh-keygen -R does that) or it was cut.
func (a *appender) catchUp(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if a.read.info == nil || !os.SameFile(a.read.info, info) || info.Size() < a.read.bytes {
		a.read, a.tail = position{}, newIndex()
	}
	a.read.info = info
	rest := io.NewSectionReader(f, a.read.bytes, max(info.Size()-a.read.bytes, 0))
	// Bad lines are tolerated here as in Open, which has reported its own.
	a.read, _, err = a.tail.read(rest, a.path, a.read)
	return err
}

// appendWhole writes the lines at the end of the file, or nothing.
func appendWhole(f *os.File, text []byte) error {
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
	// Part of it is there. Take it back, unless a writer that does not lock,
	// as ssh(1), has added to it; then the torn line is a bad line between good
	// ones.
	if info, statErr := f.Stat(); statErr == nil && info.Size() == size+int64(n) {
		return errors.Join(err, f.Truncate(size))
	}
	return err
}

// lock opens the file, making it and its directory where they are missing, and
// locks it against other processes.
func (a *appender) lock() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(a.path), 0o700); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(a.wait)
	for {
		f, err := os.OpenFile(a.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		current, err := a.lockFile(f, deadline)
		if err == nil && current {
			return f, nil
		}
		_ = f.Close() // nothing was written
		if err != nil {
			return nil, err
		}
	}
}

// lockFile says whether the locked file is still the one that the path means:
// it may have been replaced while we waited.
func (a *appender) lockFile(f *os.File, deadline time.Time) (current bool, err error) {
	if err := flock(f, deadline); err != nil {
		return false, err
	}
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(a.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, named), err
}

// flock asks again and again, since flock(2) has no deadline of its own.
func flock(f *os.File, deadline time.Time) error {
	const first, last = time.Millisecond, 50 * time.Millisecond
	for pause := first; ; pause = min(2*pause, last) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		case time.Now().After(deadline):
			return fmt.Errorf("%s stays locked by another process", f.Name())
		default:
			time.Sleep(pause)
		}
	}
}
