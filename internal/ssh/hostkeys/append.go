package hostkeys

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
)

// An appender adds lines to a known_hosts file that other processes may also write to. It is
// not safe for concurrent use.
type appender struct {
	path string
	lock func(context.Context) (lockedFile, error)
	hash bool     // write names hashed
	read position // how far known_hosts has been read, and the file's state at that time
	tail *index   // what we and others have written since Open
}

// newAppender returns an appender for a file that has been read up to a position.
func newAppender(path string, o Options, read position) *appender {
	return &appender{
		path: path,
		lock: func(ctx context.Context) (lockedFile, error) { return lockFile(ctx, path, o.LockWait) },
		hash: o.HashNames,
		read: read,
		tail: newIndex(),
	}
}

var errNotChecked = errors.New("a key is learned that was never accepted for this host")

// write takes the lessons once the file is locked, or cannot be, adds them to it with one write of whole
// lines, and sets the error of each. Lines that were added to the file meanwhile take precedence: an existing line
// is not written again, and a contradicting line makes the lesson fail. It reports false if ctx ended
// before the file was locked; then it has taken nothing.
func (a *appender) write(ctx context.Context, take func(locked bool) []*lesson) (locked bool) {
	f, err := a.lock(ctx)
	if err != nil && ctx.Err() != nil {
		return false
	}
	batch := take(err == nil)
	if err == nil {
		err = a.writeAndUnlock(f, batch)
	}
	if err == nil {
		return true
	}
	err = notWritten(a.path, err)
	for _, l := range batch {
		if l.err == nil {
			l.err = refuse(l.target, fleet.ReasonStoreFailed, err)
		}
	}
	return true
}

func notWritten(path string, err error) error {
	if _, ok := errors.AsType[lostRevocation](err); ok { // this error already has a hint
		return fmt.Errorf("writing host keys down: %w", err)
	}
	return hint.Wrap(fmt.Errorf("writing host keys down: %w", err),
		fmt.Sprintf("make %q writable and free space for it, or write the keys elsewhere", path))
}

func (a *appender) writeAndUnlock(f lockedFile, batch []*lesson) (err error) {
	defer func() { err = errors.Join(err, f.Close()) }() // Close unlocks the file
	return a.writeLocked(f, batch)
}

func (a *appender) writeLocked(f lockedFile, batch []*lesson) error {
	if err := a.catchUp(f); err != nil {
		return err
	}
	var text []byte
	fresh := make(map[string]bool) // names in this batch
	for _, l := range batch {
		if fresh[l.name] {
			continue // claims are one key per name
		}
		switch known, err := a.learnt(l); {
		case err != nil:
			l.err = err
		case !known:
			fresh[l.name] = true
			text = appendLine(text, l.name, l.key, a.hash)
		}
	}
	if len(text) == 0 {
		return nil
	}
	if err := appendWhole(f, text); err != nil {
		return err
	}
	info, err := f.Stat()
	a.read.info = info
	return err
}

// learnt reports whether the file already has the lesson's key. It returns an error if the file
// contradicts the lesson.
func (a *appender) learnt(l *lesson) (known bool, err error) {
	k := shown{plain: l.key, blob: string(l.key.Marshal())}
	lines := a.tail.lookup(l.name)
	for _, e := range lines {
		if e.unread != nil {
			return false, refuse(l.target, fleet.ReasonHostkeyFailed, mayBeRevoked(l.name, e))
		}
		if e.mark == markRevoked && e.blob == k.blob {
			by := verdict{status: StatusRevoked, by: e.where() + " revokes this key"}
			return false, refuse(l.target, fleet.ReasonHostkeyRevoked, revokedBy(l.name, k, by))
		}
	}
	v := decide(lines, k)
	if v.status == StatusChanged {
		return false, refuse(l.target, fleet.ReasonHostkeyChanged, changedMeanwhile(l.name, l.key, v.line))
	}
	return v.status == StatusKnown, nil
}

// appendLine appends a known_hosts line with its newline.
func appendLine(text []byte, name string, key ssh.PublicKey, hash bool) []byte {
	if hash {
		name = hide(name).String()
	}
	return fmt.Appendf(text, "%s %s %s\n", name, key.Type(), base64.StdEncoding.EncodeToString(key.Marshal()))
}

// catchUp reads what was written since the file was last read, or the whole file if another
// process changed it. A replaced file (ssh-keygen -R replaces it) cannot be detected by its
// inode number, because inode numbers are reused.
func (a *appender) catchUp(f lockedFile) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if a.read.info == nil || !unchanged(a.read.info, info) {
		a.read, a.tail = position{}, newIndex()
	}
	a.read.info = info
	rest := io.NewSectionReader(f, a.read.bytes, max(info.Size()-a.read.bytes, 0))
	// As in Open, bad lines are tolerated; Open has reported its own.
	a.read, _, err = a.tail.read(rest, a.path, a.read)
	return err
}

func unchanged(was, is fs.FileInfo) bool {
	return os.SameFile(was, is) && is.Size() == was.Size() && is.ModTime().Equal(was.ModTime())
}
