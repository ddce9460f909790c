package hostkeys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/match"
)

// An Approval records that a person has verified the keys of a target.
type Approval struct {
	Target ssh.Target
	// Keys are plain keys, not certificates.
	Keys []xssh.PublicKey
	// Replace removes all other keys of the target from the file, as
	// ssh-keygen -R does. Without it they stay.
	Replace bool
}

// Approve writes approved keys to the first of o.Files under any policy. Of the other options
// it uses HashNames and LockWait. It writes all approvals or none; the error joins those
// of all approvals.
//
// To remove lines, Approve writes a new file and renames it over the old one, with the same
// permissions and, as root, the same owner. Lines of authorities and revocations stay. A key
// that the file revokes is an error, and so is a pattern line that would have to be removed.
func Approve(o Options, approvals []Approval) error {
	if len(o.Files) == 0 {
		return errors.New("approving host keys: there is no known_hosts file to write to")
	}
	o = o.withDefaults()
	path, err := realPath(o.Files[0])
	if err != nil {
		return fmt.Errorf("approving host keys: %w", err)
	}
	f, err := lockFile(context.Background(), path, o.LockWait)
	if err != nil {
		return notWritten(path, err)
	}
	err = approveLocked(f, path, o, approvals)
	return errors.Join(err, f.Close())
}

// realPath follows symbolic links, so that the target file is replaced and not the link. The
// file may be missing.
func realPath(path string) (string, error) {
	followed, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return followed, err
}

func approveLocked(f lockedFile, path string, o Options, approvals []Approval) error {
	info, err := f.Stat()
	if err != nil {
		return notWritten(path, err)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, info.Size()))
	if err != nil {
		return notWritten(path, err)
	}
	e := &edit{index: newIndex(), drop: make(map[int][]string), hash: o.HashNames}
	if _, _, err := e.index.read(bytes.NewReader(text), path, position{}); err != nil {
		return notWritten(path, err)
	}
	var problems []error
	for _, a := range approvals {
		if err := e.approve(a); err != nil {
			problems = append(problems, refuse(a.Target.Target, fleet.ReasonHostkeyFailed, err))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("approving host keys, and nothing is written: %w", errors.Join(problems...))
	}
	switch {
	case len(e.drop) > 0:
		err = replaceFile(path, info, append(e.remaining(text), e.added...))
	case len(e.added) > 0:
		err = appendWhole(f, e.added)
	}
	if err != nil {
		return notWritten(path, err)
	}
	return nil
}

// An edit collects the changes to a file.
type edit struct {
	index *index
	hash  bool
	drop  map[int][]string // by line, from 1: the names to remove, in lower case
	added []byte           // whole lines
	names map[string]bool  // of the approvals so far
}

func (e *edit) approve(a Approval) error {
	n, err := namesOf(a.Target.Target)
	if err != nil {
		return err
	}
	if e.names[n.look] {
		return fmt.Errorf("%q is approved twice", n.look)
	}
	if e.names == nil {
		e.names = make(map[string]bool)
	}
	e.names[n.look] = true
	lines := e.index.lookup(n.look)
	approved := make(map[string]bool)
	for _, key := range a.Keys {
		k, err := newShown(key)
		if err != nil {
			return err
		}
		if err := approvable(n.look, lines, k); err != nil {
			return err
		}
		if !approved[k.blob] && decide(lines, k).status != StatusKnown {
			e.added = appendLine(e.added, n.look, key, e.hash)
		}
		approved[k.blob] = true
	}
	if !a.Replace {
		return nil
	}
	return e.forget(n.look, lines, approved)
}

func approvable(name string, lines []*entry, k shown) error {
	if k.cert != nil {
		return errors.New("a certificate cannot be approved, only its authority's key can be put into known_hosts")
	}
	for _, line := range lines {
		if line.unread != nil {
			return mayBeRevoked(name, line)
		}
		if line.mark == markRevoked && line.blob == k.blob {
			return fmt.Errorf("%s revokes the key %s", line.where(), describe(k.plain))
		}
	}
	return Weak(k.plain)
}

// forget removes the name from the lines whose keys are not approved.
func (e *edit) forget(name string, lines []*entry, approved map[string]bool) error {
	for _, line := range lines {
		if line.mark != markNone || approved[line.blob] {
			continue
		}
		if !strings.HasPrefix(line.names, "|") && !isPlain(line.names) {
			return hint.Wrap(fmt.Errorf("%s has another key under a pattern", line.where()),
				"change that line by hand, it may be for other hosts as well")
		}
		e.drop[line.number] = append(e.drop[line.number], name)
	}
	return nil
}

// remaining returns the file without the removed names, ending in a newline.
func (e *edit) remaining(text []byte) []byte {
	var kept []byte
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if names := e.drop[number]; names != nil {
			line = withoutNames(line, names)
		}
		kept = append(kept, line...)
	}
	if len(kept) > 0 && kept[len(kept)-1] != '\n' {
		kept = append(kept, '\n')
	}
	return kept
}

// withoutNames returns the line without the given names, or nil if no name is left.
func withoutNames(line []byte, names []string) []byte {
	list, rest := cutWord(line)
	if list[0] == '|' {
		return nil
	}
	left := slices.DeleteFunc(strings.Split(string(list), ","), func(name string) bool {
		return name == "" || slices.Contains(names, match.Lower(name))
	})
	if len(left) == 0 {
		return nil
	}
	return append([]byte(strings.Join(left, ",")), rest...)
}

// replaceFile atomically replaces a file.
func replaceFile(path string, old fs.FileInfo, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the old file stays
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = keepOwner(f, old)
	}
	if err == nil {
		err = f.Chmod(old.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// keepOwner copies owner and group of the old file to the new one. Only root may always do so;
// for other users a permission error is ignored.
func keepOwner(f *os.File, old fs.FileInfo) error {
	was, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	err := f.Chown(int(was.Uid), int(was.Gid))
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return nil
	}
	return err
}
