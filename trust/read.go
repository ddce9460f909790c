package trust

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A Problem is a line of a known_hosts file that cannot be used. The other
// lines still count.
type Problem struct {
	File string
	Line int // from 1
	Err  error
}

func (p Problem) Error() string { return fmt.Sprintf("%s:%d: %v", p.File, p.Line, p.Err) }

func (p Problem) Unwrap() error { return p.Err }

// A position is how far a file has been read.
type position struct {
	info  fs.FileInfo // nil when there was no file
	bytes int64       // behind the last newline that was read
	lines int         // newlines before that
}

// readFile reads a file into the index. A file that is missing is empty.
func (x *index) readFile(path string) (position, []Problem, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return position{}, nil, nil
	}
	if err != nil {
		return position{}, nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return position{}, nil, err
	}
	// Reading a FIFO may wait for ever, and a device may never end. /dev/null is
	// what people write for "none".
	if !info.Mode().IsRegular() && path != os.DevNull {
		return position{}, nil, fmt.Errorf("%s is not a regular file", path)
	}
	at, problems, err := x.read(f, path, position{info: info})
	if err != nil {
		return position{}, nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return at, problems, nil
}

// read takes in the lines that r has from the given position on.
func (x *index) read(r io.Reader, path string, at position) (position, []Problem, error) {
	var problems []Problem
	lines := bufio.NewReaderSize(r, maxLine+1)
	for {
		line, length, err := nextLine(lines)
		whole := err == nil
		if err != nil && !errors.Is(err, io.EOF) {
			return at, problems, err
		}
		if err := x.addLine(line, length, path, at.lines+1); err != nil {
			problems = append(problems, Problem{File: path, Line: at.lines + 1, Err: err})
		}
		if !whole {
			return at, problems, nil
		}
		at.bytes += int64(length)
		at.lines++
	}
}

// nextLine gives a line without its newline and its length with it. Of a line
// beyond maxLine it gives the length only. At the end of input the error is
// io.EOF, with what follows the last newline.
func nextLine(r *bufio.Reader) (line []byte, length int, err error) {
	line, err = r.ReadSlice('\n')
	length = len(line)
	if !errors.Is(err, bufio.ErrBufferFull) {
		if err == nil {
			line = line[:length-1]
		}
		return line, length, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		var more []byte
		more, err = r.ReadSlice('\n')
		length += len(more)
	}
	return nil, length, err
}

func (x *index) addLine(line []byte, length int, path string, number int) error {
	if length > maxLine && line == nil {
		return fmt.Errorf("longer than %d bytes", maxLine)
	}
	e, err := parseLine(line)
	if e == nil || err != nil {
		return err
	}
	e.file, e.number = path, number
	return x.add(e)
}
