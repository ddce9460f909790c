package hostcache

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shoal/internal/filelock"
	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

// A store reads and writes the file. It keeps nothing open.
type store struct {
	dir, path string
	opts      Options
	same      func(a, b fs.FileInfo) bool // os.SameFile
}

func newStore(dir string, o Options) store {
	return store{dir: dir, path: filepath.Join(dir, "recall"), opts: o, same: os.SameFile}
}

// load reads the file; a missing file is empty. It needs no lock, because incomplete lines fail
// their checksum.
func (s store) load(today int) (*table, error) {
	err := plainfile.GuardDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return newTable(), nil
	}
	if err != nil {
		return nil, err
	}
	f, info, err := open(s.path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return newTable(), nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return s.read(f, info.Size(), today)
}

// read reads the last part of the file, up to the size limit: the newest lines.
func (s store) read(f *os.File, size int64, today int) (*table, error) {
	start, err := s.readHeader(f)
	if err != nil {
		return nil, err
	}
	t := newTable()
	if start == 0 && size > 0 {
		t.lines++ // there is no header: count it as one bad line
	}
	if excess := size - s.opts.MaxBytes; excess > start {
		// The line at this offset is incomplete and therefore bad.
		start = excess
	}
	return t, t.read(io.NewSectionReader(f, start, max(0, size-start)), today)
}

// readHeader returns the length of the header, 0 if there is none, or an error if it has
// another version.
func (s store) readHeader(f *os.File) (int64, error) {
	const longest = 32
	head := make([]byte, longest)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	line, _, whole := strings.Cut(string(head[:n]), "\n")
	version, ours := strings.CutPrefix(line, headerWord)
	switch _, err := strconv.ParseUint(version, 10, 32); {
	case !whole || !ours || err != nil:
		return 0, nil // incomplete, or not our header
	case line+"\n" != header:
		return 0, hint.Wrap(fmt.Errorf("%q is of another version (%q)", s.path, line),
			"delete it, or name another state directory")
	default:
		return int64(len(header)), nil
	}
}

// save appends the lines to the file and compacts it if requested or needed. It returns the
// resulting number of lines as far as known; lines is that number if no other process appended.
func (s store) save(text []byte, lines int, compact bool, today int) (int, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return 0, err
	}
	if err := plainfile.GuardDir(s.dir); err != nil {
		return 0, err
	}
	f, err := s.lock()
	if err != nil {
		return 0, err
	}
	size, bad, err := s.append(f, text)
	if err == nil && (compact || bad || size > s.opts.MaxBytes) {
		lines, err = s.compact(f, size, today)
	}
	return lines, errors.Join(err, f.Close()) // Close unlocks the file
}

// lock opens the file and locks it.
func (s store) lock() (*os.File, error) {
	deadline := time.Now().Add(s.opts.Wait)
	for {
		f, ours, err := open(s.path, os.O_RDWR|os.O_APPEND|os.O_CREATE)
		if err != nil {
			return nil, err
		}
		if err = filelock.Lock(f, deadline); err == nil {
			// The file may have been replaced while we waited.
			var named fs.FileInfo
			if named, err = os.Lstat(s.path); err == nil && s.same(ours, named) {
				return f, nil
			}
		}
		_ = f.Close() // nothing was written
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case time.Now().After(deadline): // or its inode number is another one each time
			return nil, fmt.Errorf("%q is replaced again and again", s.path)
		}
		time.Sleep(time.Millisecond)
	}
}

// append appends whole lines, or nothing. It returns the resulting size of the file and reports
// whether the header is missing.
func (s store) append(f *os.File, text []byte) (size int64, bad bool, err error) {
	start, err := s.readHeader(f)
	if err != nil {
		return 0, false, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	size = info.Size()
	if size == 0 {
		text = append([]byte(header), text...)
	} else if torn, err := endsTorn(f, size); err != nil {
		return 0, false, err
	} else if torn {
		text = append([]byte{'\n'}, text...)
	}
	n, err := f.Write(text)
	if err != nil && n > 0 {
		err = errors.Join(err, f.Truncate(size)) // all other writers wait for the lock
	}
	return size + int64(n), size > 0 && start == 0, err
}

// endsTorn reports whether the last line has no newline.
func endsTorn(f *os.File, size int64) (bool, error) {
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return last[0] != '\n', err
}

// compact replaces the locked file by one with a line for each host, within the limits, and
// returns the number of lines. Processes that wait for the lock detect the replacement and open
// the new file.
func (s store) compact(f *os.File, size int64, today int) (lines int, err error) {
	t, err := s.read(f, size, today)
	if err != nil {
		return 0, err
	}
	t.shrink(s.opts.MaxHosts)
	next := s.path + ".new"
	// A leftover is from a process that died: the file is written only under the lock.
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	w, _, err := open(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return 0, err
	}
	lines, err = t.writeTo(w, s.opts.MaxBytes)
	err = errors.Join(err, w.Close())
	if err == nil {
		err = os.Rename(next, s.path)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(next))
	}
	return lines, nil
}

// writeTo writes the header and a line for each host, the oldest first. If that exceeds
// maxBytes, it omits the oldest until half of maxBytes is left, so that the next run need not
// compact again.
func (t *table) writeTo(w io.Writer, maxBytes int64) (lines int, err error) {
	endpoints := t.oldestFirst()
	var line []byte
	size := int64(len(header))
	for _, endpoint := range endpoints {
		line = t.appendHost(line[:0], endpoint)
		size += int64(len(line))
	}
	if size > maxBytes {
		for ; len(endpoints) > 0 && size > maxBytes/2; endpoints = endpoints[1:] {
			line = t.appendHost(line[:0], endpoints[0])
			size -= int64(len(line))
		}
	}
	b := bufio.NewWriterSize(w, 64<<10)
	_, _ = b.WriteString(header) // b keeps its first error, and Flush returns it
	for _, endpoint := range endpoints {
		line = t.appendHost(line[:0], endpoint)
		_, _ = b.Write(line)
	}
	return len(endpoints), b.Flush()
}

func (t *table) appendHost(b []byte, endpoint string) []byte {
	h := t.hosts[endpoint]
	return appendLine(b, endpoint, int(h.day), h.text)
}

// open opens a regular file of ours. It never follows a symbolic link or blocks on a FIFO.
func open(path string, flags int) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, nil, hint.Wrap(fmt.Errorf("%q is a symbolic link", path), "delete it; nothing but speed is lost")
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = hint.Wrap(fmt.Errorf("%q is not a plain file", path), "delete it; nothing but speed is lost")
	default:
		err = plainfile.Guard(path, info)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, err
	}
	return f, info, nil
}
