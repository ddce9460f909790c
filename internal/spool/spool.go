// Package spool makes the standard input of many commands readable from any place, any
// number of times: a regular file as it is, anything else by a copy on disk that has no name.
package spool

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"shoal/internal/hint"
)

// An Input is what commands get as standard input. It implements ssh.Input.
type Input struct {
	file   *os.File
	size   int64
	digest string
	own    bool // the file is our copy, and closed by Close
	from   int64
	as     state // what the file was like when it was read; zero for our copy
}

// state tells whether a file has changed.
type state struct {
	size int64
	mod  time.Time
}

func stateOf(f *os.File) (state, error) {
	info, err := f.Stat()
	if err != nil {
		return state{}, err
	}
	return state{info.Size(), info.ModTime()}, nil
}

// Open returns the content of a file, which must not change while the Input is used.
func Open(ctx context.Context, name string) (*Input, error) {
	f, err := openFile(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("reading the commands' standard input: %w", err)
	}
	in, err := Read(ctx, f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if in.own {
		_ = f.Close()
	}
	in.own = true
	return in, nil
}

// openFile opens a file for reading. The open(2) of a FIFO waits for a writer: when ctx ends,
// that is this process.
func openFile(ctx context.Context, name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		opened, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-ctx.Done():
			case <-opened:
				return
			}
			for { // the other open may not have begun
				w, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // as below
				if err == nil {
					_ = w.Close()
				}
				select {
				case <-opened:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}()
		defer func() { close(opened); <-ended }()
	}
	f, err := os.Open(name) //nolint:gosec // the user names it
	if err == nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), f.Close())
	}
	return f, err
}

// Read returns what r holds from where it stands. A regular file is read in place and must
// stay open and the same, unless its size is 0, as that of files in /proc is; of anything else
// all is copied, to EOF, into a file in $TMPDIR, else /var/tmp, that nobody can open. An error means that r could not be read completely.
func Read(ctx context.Context, r io.Reader) (*Input, error) {
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return inPlace(ctx, f)
		}
	}
	copied, err := Unnamed("shoal-stdin-*")
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("making a file for the commands' standard input: %w", err), "TMPDIR names another directory")
	}
	if f, ok := r.(*os.File); ok { // has an effect on a pipe that can be waited for
		stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(copied, hash), reader{ctx, r})
	if ended := context.Cause(ctx); ended != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = ended
	}
	if err != nil {
		_ = copied.Close()
		return nil, fmt.Errorf("reading the commands' standard input, after %d bytes: %w", size, err)
	}
	return &Input{file: copied, size: size, digest: fmt.Sprintf("%x", hash.Sum(nil)), own: true}, nil
}

func inPlace(ctx context.Context, f *os.File) (*Input, error) {
	from, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("reading the commands' standard input: %w", err)
	}
	in := &Input{file: f, from: from}
	if in.as, err = stateOf(f); err != nil {
		return nil, fmt.Errorf("reading the commands' standard input: %w", err)
	}
	in.size = max(0, in.as.size-from)
	if in.digest, err = Digest(ctx, in); err != nil {
		return nil, err
	}
	return in, nil
}

// Digest returns the SHA-256 of an input in hexadecimal.
func Digest(ctx context.Context, in interface {
	io.ReaderAt
	Size() int64
},
) (string, error) {
	hash, copyAll := sha256.New(), io.Copy
	if in.Size() > aheadSize {
		copyAll = copyAhead
	}
	n, err := copyAll(hash, reader{ctx, io.NewSectionReader(in, 0, in.Size())})
	if err == nil && n < in.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", fmt.Errorf("reading the commands' standard input, after %d bytes: %w", n, err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
}

// Unnamed returns an open file in $TMPDIR, else /var/tmp, that has no name any more; before, it
// had one as os.CreateTemp makes it of the pattern.
func Unnamed(pattern string) (*os.File, error) {
	dir := os.Getenv("TMPDIR")
	if info, err := os.Stat("/var/tmp"); dir == "" && err == nil && info.IsDir() {
		dir = "/var/tmp" // unlike /tmp it is rarely in memory
	}
	f, err := os.CreateTemp(cmp.Or(dir, os.TempDir()), pattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// reader ends with its context, between two reads; a read that waits ends only if it can.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Size returns the number of bytes.
func (i *Input) Size() int64 { return i.size }

// Digest returns the SHA-256 of all bytes in hexadecimal.
func (i *Input) Digest() string { return i.digest }

// ReadAt implements io.ReaderAt. It fails if a file that is read in place has changed.
func (i *Input) ReadAt(p []byte, at int64) (int, error) {
	n, err := io.NewSectionReader(i.file, i.from, i.size).ReadAt(p, at)
	if i.as == (state{}) {
		return n, err
	}
	if now, stat := stateOf(i.file); stat != nil || now != i.as {
		return 0, errors.Join(stat, fmt.Errorf("the file %q has changed since the run began", i.file.Name()))
	}
	return n, err
}

// Close releases what Open or Read has opened.
func (i *Input) Close() error {
	if !i.own {
		return nil
	}
	return i.file.Close()
}
