package record

import (
	"errors"
	"fmt"
	"io"

	"shoal/fleet"
)

// maxBuffer is the capacity in bytes up to which the buffer is kept for the next line, so
// that one target with much output does not cost memory until the end of the run.
const maxBuffer = 256 << 10

// errClosed is returned after Close.
var errClosed = errors.New("the stream is closed")

// A Writer writes the lines of one run. It is not safe for concurrent use.
type Writer struct {
	w   io.Writer
	buf []byte
	err error // sticky: nothing may follow a torn line
}

// NewWriter writes the header to w. Close does not close w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	sw := &Writer{w: w}
	if err := sw.write(appendHeader(nil, h)); err != nil {
		return nil, err
	}
	return sw, nil
}

// Result writes one result with its output. After an error every later call returns the
// same error, because the stream may end within a line.
func (w *Writer) Result(r fleet.Result) error { return w.Stored(r, Files{}) }

// Stored writes one result. For each stream with a name in files, the line has this name
// instead of the output.
func (w *Writer) Stored(r fleet.Result, files Files) error {
	if w.err != nil {
		return w.err
	}
	return w.write(appendResult(w.buf[:0], &r, files))
}

// Close writes the summary and ends the stream.
func (w *Writer) Close(s Summary) error {
	if w.err != nil {
		return w.err
	}
	err := w.write(appendSummary(w.buf[:0], &s))
	w.buf = nil
	if w.err == nil {
		w.err = errClosed
	}
	return err
}

func (w *Writer) write(line []byte) error {
	n, err := w.w.Write(line)
	if err == nil && n != len(line) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("writing the result stream: %w", err)
	}
	if cap(line) <= maxBuffer {
		w.buf = line
	}
	return w.err
}
