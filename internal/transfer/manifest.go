package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shoal/internal/hint"
	"shoal/internal/spool"
)

// A Kind is what an entry of a Manifest is.
type Kind byte

// The kinds.
const (
	File      Kind = 'f'
	Directory Kind = 'd'
	Link      Kind = 'l'
)

// An Entry is a file, directory or symbolic link to be made at the far end.
type Entry struct {
	Kind Kind
	// Name is its path below DEST, with slashes.
	Name string
	Mode fs.FileMode // permission bits
	Time time.Time
	// Size and Digest, the SHA-256 in hexadecimal, are those of a file.
	Size   int64
	Digest string
	// Target is that of a link.
	Target string

	source string // its path here
	at     int64  // offset of the file's bytes in the payload
}

// A Manifest is what a push copies. All hosts share it.
type Manifest struct {
	// Sources are the absolute paths that were read.
	Sources []string
	// Entries are in order: a directory before what is in it. Only says that there is
	// one, a file that was named.
	Entries []Entry
	Only    bool
	// Size is the number of bytes of all files, and Digest the SHA-256 of all that the
	// entries are, in hexadecimal.
	Size   int64
	Digest string

	payload *spool.Input // the bytes of all files, one after the other
	file    *os.File     // the only file, read in place; nil: payload is a copy
}

// MaxEntries is the largest number of entries of a push.
const MaxEntries = 100_000

// Read reads the sources. A regular file that is the only one is read in place, and must not
// change; all else is copied into a file without a name, so that a push sends the same bytes to
// every host. A directory is copied with all that is in it, below its own name, or without it
// if the source ends in a slash; symbolic links in it stay links unless copyLinks is set. A source
// that is a link is followed.
func Read(ctx context.Context, sources []string, copyLinks bool) (_ *Manifest, err error) {
	m := &Manifest{}
	r := &reader{ctx: ctx, manifest: m, seen: make(map[string]string), copyLinks: copyLinks}
	for _, s := range sources {
		if err := r.source(s); err != nil {
			return nil, err
		}
	}
	if len(m.Entries) == 0 {
		return nil, errors.New("there is nothing to push")
	}
	m.Only = len(sources) == 1 && len(m.Entries) == 1 && m.Entries[0].Kind == File && m.Entries[0].source == m.Sources[0]
	if m.Only {
		if m.file, err = os.Open(m.Sources[0]); err != nil {
			return nil, err
		}
		m.payload, err = spool.Read(ctx, m.file)
		if err == nil {
			m.Entries[0].Size, m.Entries[0].Digest = m.payload.Size(), m.payload.Digest()
		}
	} else {
		all := &concatenation{reader: r}
		m.payload, err = spool.Read(ctx, all)
		_ = all.close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading what to push: %w", err), m.Close())
	}
	sum := sha256.New()
	for i, e := range m.Entries {
		m.Entries[i].at = m.Size
		m.Size += e.Size
		_, _ = fmt.Fprintf(sum, "%c %q %o %d %s %q\n", e.Kind, e.Name, e.Mode, e.Size, e.Digest, e.Target) // a hash never fails
	}
	m.Digest = fmt.Sprintf("%x", sum.Sum(nil))
	return m, nil
}

// Close releases what Read has opened.
func (m *Manifest) Close() error {
	var err error
	if m.payload != nil {
		err = m.payload.Close()
	}
	if m.file != nil {
		err = errors.Join(err, m.file.Close())
	}
	return err
}

type reader struct {
	ctx      context.Context
	manifest *Manifest
	seen     map[string]string // source of each name

	copyLinks bool
	inside    []fs.FileInfo // the directories that links have led into
}

func (r *reader) source(path string) error {
	full, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("reading what to push: %w", err)
	}
	contents := strings.HasSuffix(path, "/")
	info, err := os.Stat(full)
	switch {
	case err != nil:
		return fmt.Errorf("reading what to push: %w", err)
	case contents && !info.IsDir():
		return fmt.Errorf("reading what to push: %q is not a directory", path)
	case info.IsDir():
		// WalkDir does not follow a link.
		root, err := filepath.EvalSymlinks(full)
		if err != nil {
			return fmt.Errorf("reading what to push: %w", err)
		}
		base := filepath.Base(full)
		r.manifest.Sources = append(r.manifest.Sources, full)
		if contents {
			base = ""
			r.manifest.Sources[len(r.manifest.Sources)-1] += "/"
		}
		return r.walk(root, base)
	}
	r.manifest.Sources = append(r.manifest.Sources, full)
	return r.add(full, filepath.Base(full), info)
}

func (r *reader) walk(root, base string) error {
	return filepath.WalkDir(root, func(at string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(r.ctx)
		}
		if err != nil {
			return fmt.Errorf("reading what to push: %w", err)
		}
		rel, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(filepath.Join(base, rel))
		if name == "." {
			return nil
		}
		info, err := os.Lstat(at)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 && r.copyLinks {
			if info, err = os.Stat(at); err == nil && info.IsDir() {
				return r.enter(at, name, info)
			}
		}
		if err != nil {
			return fmt.Errorf("reading what to push: %w", err)
		}
		return r.add(at, name, info)
	})
}

// enter reads the directory that a link leads to, under the link's name.
func (r *reader) enter(link, name string, dir fs.FileInfo) error {
	if slices.ContainsFunc(r.inside, func(d fs.FileInfo) bool { return os.SameFile(d, dir) }) || len(r.inside) > maxLinks {
		return fmt.Errorf("%q leads back into itself", link)
	}
	real, err := filepath.EvalSymlinks(link)
	if err != nil {
		return fmt.Errorf("reading what to push: %w", err)
	}
	r.inside = append(r.inside, dir)
	defer func() { r.inside = r.inside[:len(r.inside)-1] }()
	return r.walk(real, name)
}

// maxLinks is how many links may lead from one directory into the next.
const maxLinks = 40

func (r *reader) add(path, name string, info fs.FileInfo) error {
	if other, ok := r.seen[name]; ok {
		return fmt.Errorf("%q and %q would have the same name %q", other, path, name)
	}
	r.seen[name] = path
	e := Entry{source: path, Name: name, Mode: info.Mode().Perm(), Time: info.ModTime()}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		e.Kind = File
	case mode.IsDir():
		e.Kind = Directory
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return fmt.Errorf("reading what to push: %w", err)
		}
		e.Kind, e.Target = Link, target
	default:
		return hint.Wrap(fmt.Errorf("%q is no file, directory or symbolic link (%v)", path, mode.Type()), "devices, pipes and sockets cannot be pushed")
	}
	if len(r.manifest.Entries) == MaxEntries {
		return hint.Wrap(fmt.Errorf("there are more than %d files to push", MaxEntries), "push an archive of them")
	}
	r.manifest.Entries = append(r.manifest.Entries, e)
	return nil
}

// A concatenation reads all files, and sets size and digest of their entries.
type concatenation struct {
	*reader
	next int
	open *os.File
	sum  hash.Hash
}

func (c *concatenation) Read(p []byte) (int, error) {
	for {
		if c.open == nil {
			at := slices.IndexFunc(c.manifest.Entries[c.next:], func(e Entry) bool { return e.Kind == File })
			if at < 0 {
				return 0, io.EOF
			}
			c.next += at
			f, err := os.Open(c.manifest.Entries[c.next].source)
			if err != nil {
				return 0, err
			}
			c.open, c.sum = f, sha256.New()
		}
		n, err := c.open.Read(p)
		e := &c.manifest.Entries[c.next]
		e.Size += int64(n)
		c.sum.Write(p[:n])
		if errors.Is(err, io.EOF) {
			e.Digest = fmt.Sprintf("%x", c.sum.Sum(nil))
			c.next++
			err = c.close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *concatenation) close() error {
	if c.open == nil {
		return nil
	}
	err := c.open.Close()
	c.open = nil
	return err
}
