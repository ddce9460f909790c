package transfer

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"shoal/internal/filelock"
)

// A store is the directory of a pull. Files are written in a directory of this process below
// it, which has no links, and renamed when they are whole.
type store struct {
	root  *os.Root
	stage string   // name of that directory
	lock  *os.File // keeps others from removing it
	folds bool     // names that differ only in case are one file
	count atomic.Int64
}

const stagePrefix = ".shoal-pull."

// openStore makes the directory if it is missing, opens it, and removes what a process left in
// it that was killed.
func openStore(dir string) (_ *store, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &store{}
	if s.root, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.root.Close()
		}
	}()
	if err := s.sweep(); err != nil {
		return nil, err
	}
	for range 10 {
		s.stage = stagePrefix + rand.Text()
		if err := s.root.Mkdir(s.stage, 0o700); err != nil {
			return nil, err
		}
		if s.lock, err = s.root.Open(s.stage); err != nil {
			continue // removed by another process's sweep
		}
		// A file system without locks, such as some on a network, has no sweep either.
		if err = filelock.Try(s.lock, unix.LOCK_EX); errors.Is(err, filelock.ErrLocked) {
			_ = s.lock.Close()
			continue
		}
		if _, err = s.root.Lstat(s.stage); err == nil {
			_, other := s.root.Lstat(strings.ToUpper(s.stage[:len(stagePrefix)]) + s.stage[len(stagePrefix):])
			s.folds = other == nil
			return s, nil
		}
		_ = s.lock.Close()
	}
	return nil, err
}

// sweep removes the directories of processes that have ended.
func (s *store) sweep() error {
	dir, err := s.root.Open(".")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	for _, name := range names {
		if !strings.HasPrefix(name, stagePrefix) {
			continue
		}
		// In a directory of several people the name may be of a pipe, which open(2) would wait for.
		left, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if info, err := left.Stat(); err == nil && info.IsDir() && filelock.Try(left, unix.LOCK_EX) == nil {
			_ = s.root.RemoveAll(name) // the next sweep tries again
		}
		_ = left.Close()
	}
	return err
}

func (s *store) close() error {
	err := s.root.RemoveAll(s.stage)
	return errors.Join(err, s.lock.Close(), s.root.Close())
}

// A hostTree is what one host sends, in the stage. Places are paths below the host's directory,
// with slashes.
type hostTree struct {
	store *store
	dir   string
	made  bool
	seen  map[string]seen // by folded place
	names int             // bytes of the paths in seen
}

// seen is what a place has.
type seen struct {
	path      string // at the far end
	source    int
	directory bool
}

func (s *store) newTree() *hostTree {
	return &hostTree{store: s, dir: filepath.Join(s.stage, strconv.FormatInt(s.count.Add(1), 10)), seen: make(map[string]seen)}
}

// maxNames limits the bytes of the paths that are held of one host.
const maxNames = 4 << 20

var errTooManyNames = errors.New("the names of its files are too long together")

// A collisionError means that two paths of the host would be one file here.
type collisionError struct{ first, second, place string }

func (e *collisionError) Error() string {
	if e.first == e.second {
		return fmt.Sprintf("%.200q was sent twice", e.first)
	}
	return fmt.Sprintf("%.200q and %.200q would be one file here, %.200q", e.first, e.second, e.place)
}

// claim reserves a place. again means that another source has it already with the same path.
func (t *hostTree) claim(place string, s seen) (again bool, err error) {
	key := place
	if t.store.folds {
		key = cases.Fold().String(norm.NFC.String(place))
	}
	if was, ok := t.seen[key]; ok {
		switch {
		case s.directory && was.directory:
			return true, nil
		case was.path == s.path && was.source != s.source && was.directory == s.directory:
			return true, nil
		}
		return false, &collisionError{was.path, s.path, place}
	}
	if t.names += len(key) + len(s.path); t.names > maxNames {
		return false, errTooManyNames
	}
	if parent := path.Dir(place); parent != "." {
		up := seen{path: path.Dir(strings.TrimRight(s.path, "/")), source: s.source, directory: true}
		if _, err := t.claim(parent, up); err != nil {
			return false, err
		}
	}
	t.seen[key] = s
	return false, nil
}

func (t *hostTree) at(place string) string { return filepath.Join(t.dir, filepath.FromSlash(place)) }

// mkdir makes the directory of a place, and those above it.
func (t *hostTree) mkdir(place string) error {
	t.made = true
	return t.store.root.MkdirAll(t.at(place), 0o700)
}

// create makes a file that does not exist.
func (t *hostTree) create(place string) (*os.File, error) {
	if err := t.mkdir(path.Dir(place)); err != nil {
		return nil, err
	}
	return t.store.root.OpenFile(t.at(place), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (t *hostTree) remove(place string) error { return t.store.root.Remove(t.at(place)) }

func (t *hostTree) chmod(place string, mode fs.FileMode) error {
	return t.store.root.Chmod(t.at(place), mode)
}

func (t *hostTree) chtimes(place string, to time.Time) error {
	return t.store.root.Chtimes(t.at(place), to, to)
}

// link makes a symbolic link. It must come after all files.
func (t *hostTree) link(place, target string) error {
	if err := t.mkdir(path.Dir(place)); err != nil {
		return err
	}
	return t.store.root.Symlink(target, t.at(place))
}

// commit moves all to the directory of the host. What is in the place of a file is replaced,
// unless it is a directory; a directory gets what it does not have.
func (t *hostTree) commit(host string) error {
	if !t.made {
		return nil
	}
	return t.move(t.dir, host)
}

func (t *hostTree) move(from, to string) error {
	err := t.store.root.Rename(from, to)
	if err == nil || !errors.Is(err, fs.ErrExist) { // not an empty directory
		return err
	}
	dir, err := t.store.root.Open(from)
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	errs := []error{err}
	for _, name := range names {
		if err := t.move(filepath.Join(from, name), filepath.Join(to, name)); err != nil && len(errs) < 10 {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// drop removes what was not moved.
func (t *hostTree) drop() error {
	if !t.made {
		return nil
	}
	return t.store.root.RemoveAll(t.dir)
}

// A sparseWriter writes a file from its beginning and leaves out blocks of zeros.
type sparseWriter struct {
	file      *os.File
	at, wrote int64
}

const sparseBlock = 4096

var zeros [sparseBlock]byte

// Write implements io.Writer.
func (w *sparseWriter) Write(p []byte) (int, error) {
	n, from := len(p), 0
	for i := 0; i < n; {
		step := min(n-i, int(sparseBlock-(w.at+int64(i))%sparseBlock))
		if step == sparseBlock && bytes.Equal(p[i:i+step], zeros[:]) {
			if err := w.put(p[from:i], w.at+int64(from)); err != nil {
				return 0, err
			}
			from = i + step
		}
		i += step
	}
	if err := w.put(p[from:], w.at+int64(from)); err != nil {
		return 0, err
	}
	w.at += int64(n)
	return n, nil
}

func (w *sparseWriter) put(p []byte, at int64) error {
	if len(p) == 0 {
		return nil
	}
	w.wrote = at + int64(len(p))
	_, err := w.file.WriteAt(p, at)
	return err
}

// finish gives the file its size, if it ends in zeros.
func (w *sparseWriter) finish() error {
	if w.wrote == w.at {
		return nil
	}
	return w.file.Truncate(w.at)
}
