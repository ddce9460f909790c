package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"shoal/fleet"
)

// MaxLine is the longest line that Read takes: a result with 10 MiB on each
// stream fits even when every byte is written as an escape of six.
const MaxLine = 128 << 20

// Errors of Read that callers may test with errors.Is.
var (
	// ErrNoHeader: the first line is not a header; this is no result stream,
	// or only a part of one.
	ErrNoHeader = errors.New("not a stream of results")
	// ErrNewer: the stream has a newer format than this package knows.
	ErrNewer = errors.New("the stream is of a newer format")
	// ErrTorn: the last line has no end; its writer was killed or the disk was
	// full. Everything before it is whole.
	ErrTorn = errors.New("the last line is torn")
	// ErrLineTooLong: a line is longer than MaxLine.
	ErrLineTooLong = errors.New("line too long")
)

// An Entry is one line. Of Header, Result and Summary the one that Type tells
// is set; none for a type that this version does not know.
type Entry struct {
	// Type is "run", "result", "summary", or unknown here.
	Type    string
	Header  *Header
	Result  *fleet.Result
	Summary *Summary
	// Files belongs to Result: where its output is when it is not in the line.
	Files Files
}

// Read gives the entries of a stream in their order. An error names its line;
// after one that spoils its line only (a result that cannot be decoded) the
// loop may go on, all others end it. Several streams one after the other, each
// with its header, are read as one; where one was torn and the next was appended
// to it, the next one's header follows the error of the torn line.
func Read(r io.Reader) iter.Seq2[Entry, error] { return read(r, MaxLine) }

func read(r io.Reader, maxLine int) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := &lineReader{br: bufio.NewReaderSize(r, 64<<10), max: maxLine}
		for number := 1; ; number++ {
			line, err := lines.next()
			if errors.Is(err, io.EOF) {
				if number == 1 {
					yield(Entry{}, fmt.Errorf("line 1: %w: it is empty", ErrNoHeader))
				}
				return
			}
			var e Entry
			if err == nil {
				e, err = decode(line, number == 1)
			}
			if err == nil {
				if !yield(e, nil) {
					return
				}
				continue
			}
			err = fmt.Errorf("line %d: %w", number, err)
			if !yield(Entry{}, err) || isFinal(err) {
				return
			}
			if h, err := headerWithin(line); err != nil {
				yield(Entry{}, fmt.Errorf("line %d: %w", number, err))
				return
			} else if h != nil && !yield(*h, nil) {
				return
			}
		}
	}
}

// headerStart is how every header begins. No string within a line has it: there
// its quotes would be escaped.
var headerStart = []byte(`{"type":"run"`)

// headerWithin finds the header of the next stream in a spoilt line: a stream
// that was torn and then appended to has both in one line. What follows must not
// be taken for results of the first run.
func headerWithin(line []byte) (*Entry, error) {
	i := bytes.LastIndex(line, headerStart)
	if i <= 0 {
		return nil, nil
	}
	h, err := decodeHeader(line[i:])
	if err != nil {
		return nil, fmt.Errorf("the header of the stream that follows: %w", err)
	}
	return &Entry{Type: "run", Header: h}, nil
}

// isFinal says that nothing after err can be trusted, or read.
func isFinal(err error) bool {
	var spoilt *lineError
	return err != nil && !errors.As(err, &spoilt)
}

// A lineError spoils one line and says nothing of the next.
type lineError struct{ err error }

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

func decode(line []byte, first bool) (Entry, error) {
	var e Entry
	var kind struct {
		Type string `json:"type"`
	}
	err := checkUnicode(line)
	if err == nil {
		err = json.Unmarshal(line, &kind)
	}
	switch {
	case first && (err != nil || kind.Type != "run"):
		return e, ErrNoHeader
	case err != nil:
		return e, &lineError{fmt.Errorf("decoding: %w", err)}
	}
	e.Type = kind.Type
	switch kind.Type {
	case "run":
		// Without its header, what follows belongs to no run.
		e.Header, err = decodeHeader(line)
		return e, err
	case "result":
		e.Result, e.Files, err = decodeResult(line)
	case "summary":
		e.Summary, err = decodeSummary(line)
	}
	if err != nil {
		return Entry{}, &lineError{err}
	}
	return e, nil
}

// lineReader cuts a stream into lines of bounded length.
type lineReader struct {
	br   *bufio.Reader
	max  int
	long []byte // a line longer than br's buffer
}

// next gives the next line without its end; it is valid until the next call.
func (l *lineReader) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.br.ReadSlice('\n')
		if len(l.long)+len(part) > l.max {
			return nil, fmt.Errorf("%w: over %d bytes", ErrLineTooLong, l.max)
		}
		switch {
		case err == nil && len(l.long) == 0:
			return bytes.TrimSuffix(part, []byte("\n")), nil
		case err == nil:
			l.long = append(l.long, part...)
			return bytes.TrimSuffix(l.long, []byte("\n")), nil
		case errors.Is(err, bufio.ErrBufferFull):
			l.long = append(l.long, part...)
		case errors.Is(err, io.EOF) && len(l.long)+len(part) > 0:
			return nil, ErrTorn
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("reading the result stream: %w", err)
		}
	}
}
