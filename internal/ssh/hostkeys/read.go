package hostkeys

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

// A Problem is a line of a known_hosts file that cannot be used. The other lines still count.
// An unreadable revocation line refuses every key of its names; if the names cannot be read
// either, opening the file fails.
type Problem struct {
	File string
	Line int // from 1
	Err  error
}

func (p Problem) Error() string { return fmt.Sprintf("%s:%d: %v", p.File, p.Line, p.Err) }

func (p Problem) Unwrap() error { return p.Err }

// A position records how far a file has been read.
type position struct {
	info  fs.FileInfo // nil when there was no file
	bytes int64       // after the last newline that was read
	lines int         // newlines before that
}

// A source is a parsed known_hosts file.
type source struct {
	index    *index
	end      position
	problems []Problem
	close    func() error // closes the file that index reads from; nil: it is in memory
}

// files reads known_hosts files, each once, for one or more stores.
type files struct {
	open func(path string) (fs.File, error)
	keep int64 // size up to which a file is kept in memory

	mu   sync.Mutex
	read map[string]func() (*source, error)
}

func newFiles() *files {
	return &files{
		open: func(path string) (fs.File, error) { return plainfile.Open(path) },
		keep: smallFile,
		read: make(map[string]func() (*source, error)),
	}
}

// source returns the file's lines. A missing file is empty; a read error is returned by every
// call.
func (f *files) source(path string) (*source, error) {
	f.mu.Lock()
	read := f.read[path]
	if read == nil {
		read = sync.OnceValues(func() (*source, error) { return f.readSource(path) })
		f.read[path] = read
	}
	f.mu.Unlock()
	return read()
}

// sources returns the files read so far, ordered by name.
func (f *files) sources() []*source {
	f.mu.Lock()
	reads := make([]func() (*source, error), 0, len(f.read))
	for _, path := range slices.Sorted(maps.Keys(f.read)) {
		reads = append(reads, f.read[path])
	}
	f.mu.Unlock()
	var all []*source
	for _, read := range reads {
		if s, err := read(); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// problems returns those of all files read so far.
func (f *files) problems() []Problem {
	var all []Problem
	for _, s := range f.sources() {
		all = append(all, s.problems...)
	}
	return all
}

// close closes the files whose lines are read again. No lookup may follow.
func (f *files) close() error {
	var errs []error
	for _, s := range f.sources() {
		if s.close != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

func (f *files) readSource(path string) (*source, error) {
	s := &source{index: newIndex()}
	file, info, err := openRegular(f.open, path)
	if file == nil || err != nil {
		return s, err
	}
	text, again, filed, err := reread(file, f.keep)
	if err == nil {
		s.index = newFileIndex(path, again)
		s.end, s.problems, err = s.index.read(text, path, position{info: info})
	}
	if err != nil {
		_ = file.Close() // it was only read
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if filed {
		s.close = file.Close
	} else {
		_ = file.Close()
	}
	return s, nil
}

// lost returns, with a hint, the first of the problems that makes a whole file untrustworthy.
func lost(problems []Problem) error {
	for _, p := range problems {
		if _, ok := errors.AsType[lostRevocation](p.Err); ok {
			return hint.Wrap(p, fmt.Sprintf("no host is trusted by %q until this line is mended or deleted", p.File))
		}
	}
	return nil
}

// openRegular opens a regular file or /dev/null; it returns nil for a missing one.
func openRegular(open func(string) (fs.File, error), path string) (fs.File, fs.FileInfo, error) {
	f, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	// Reading a FIFO may block for ever, and a device may be endless. /dev/null is what people
	// write for "none".
	if err == nil && !info.Mode().IsRegular() && path != os.DevNull {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		_ = f.Close() // nothing was read
		return nil, nil, err
	}
	return f, info, nil
}

// read adds the lines of r; at is the position where r begins.
func (x *index) read(r io.Reader, path string, at position) (position, []Problem, error) {
	at, problems, err := eachLine(r, path, at, x.add)
	if err == nil {
		err = lost(problems)
	}
	return at, problems, err
}

// eachLine calls add for each good line of r, which begins at the given position. A line that
// add refuses is a bad line.
func eachLine(r io.Reader, path string, at position, add func(*entry) error) (position, []Problem, error) {
	var problems []Problem
	lines := bufio.NewReaderSize(r, maxLine+1)
	for {
		line, length, err := nextLine(lines)
		whole := err == nil
		if err != nil && !errors.Is(err, io.EOF) {
			return at, problems, err
		}
		if err := addLine(line, length, path, at, add); err != nil {
			problems = append(problems, Problem{File: path, Line: at.lines + 1, Err: err})
		}
		if !whole {
			return at, problems, nil
		}
		at.bytes += int64(length)
		at.lines++
	}
}

// nextLine returns a line without its newline, and its length with the newline. Of a line
// longer than maxLine it returns only the beginning. At the end of input it returns io.EOF and
// what follows the last newline.
func nextLine(r *bufio.Reader) (line []byte, length int, err error) {
	line, err = r.ReadSlice('\n')
	length = len(line)
	if !errors.Is(err, bufio.ErrBufferFull) {
		if err == nil {
			line = line[:length-1]
		}
		return line, length, err
	}
	head := bytes.Clone(line[:maxHead]) // the next read overwrites it
	for errors.Is(err, bufio.ErrBufferFull) {
		var more []byte
		more, err = r.ReadSlice('\n')
		length += len(more)
	}
	return head, length, err
}

// maxHead is how much of an overlong line is kept, in bytes: enough for its markers.
const maxHead = 1 << 10

func addLine(line []byte, length int, path string, at position, add func(*entry) error) error {
	if len(line) < length-1 {
		err := fmt.Errorf("longer than %d bytes", maxLine)
		if revokes(line) {
			err = lostRevocation{err}
		}
		return err
	}
	e, err := parseLine(line)
	if e == nil || err != nil {
		return err
	}
	e.file, e.number = path, at.lines+1
	e.place = place{at.bytes, len(line), crc32.Checksum(line, castagnoli)}
	if err := add(e); err != nil {
		if e.mark == markRevoked {
			err = lostRevocation{err}
		}
		return err
	}
	if e.unread != nil {
		return fmt.Errorf("%w: every key of %s is refused", e.unread, quote(e.names))
	}
	return nil
}
