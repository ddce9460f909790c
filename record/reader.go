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

// MaxLine is the maximum length of a line in bytes. It has room for a result with 10 MiB
// on each stream even if every byte is written as an escape of six bytes. A Writer cuts the outputs of
// a result that would be longer: the result then has fleet.FlagOutputTruncated, and the sizes say how
// much there was.
const MaxLine = 128 << 20

// Errors of Read that callers may test with errors.Is.
var (
	// ErrNoHeader: the first line is not a header. This is not a result stream, or only a
	// part of one.
	ErrNoHeader = errors.New("not a stream of results")
	// ErrNewer: the format of the stream is newer than this package.
	ErrNewer = errors.New("the stream is of a newer format")
	// ErrTorn: the last line is incomplete, because its writer was killed or the disk was
	// full. Everything before it is complete.
	ErrTorn = errors.New("the last line is torn")
	// ErrLineTooLong: a line is longer than MaxLine.
	ErrLineTooLong = errors.New("line too long")
)

// An Entry is one line. Depending on Type, one of Header, Result and Summary is set; none
// is set for an unknown type.
type Entry struct {
	// Type is "run", "result", "summary", or an unknown type.
	Type    string
	Header  *Header
	Result  *fleet.Result
	Summary *Summary
	// Files has the names of the files with the Result's output if it is not in the line.
	Files Files
}

// Read returns the entries of a stream in order. Errors name the line. After an error that
// affects only one line (a result that cannot be decoded) the iteration continues; other
// errors end it. Concatenated streams, each with its own header, are read as one. If a
// stream was torn and another appended to it, the header of the second follows the error
// for the torn line.
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

// headerStart is the beginning of every header. It cannot occur inside a JSON string,
// where its quotes would be escaped.
var headerStart = []byte(`{"type":"run"`)

// headerWithin returns the header of a stream that was appended to a torn one: both are
// then in one line. Otherwise the results that follow would be taken for results of the
// first run.
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

// isFinal reports whether the iteration must end, because nothing after err can be trusted
// or read.
func isFinal(err error) bool {
	var spoilt *lineError
	return err != nil && !errors.As(err, &spoilt)
}

// A lineError affects a single line.
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
		// Without a header the following lines belong to no run.
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

// lineReader splits a stream into lines of limited length.
type lineReader struct {
	br   *bufio.Reader
	max  int
	long []byte // a line longer than br's buffer
}

// next returns the next line without its newline; it is valid until the next call.
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
