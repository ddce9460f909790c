package benchrecord

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// MaxLine is the longest line that Read accepts, in bytes; a point of a million
// hosts fits.
const MaxLine = 512 << 20

// Errors of Read that callers may test with errors.Is.
var (
	// ErrNoHeader: the first line is not a header.
	ErrNoHeader = errors.New("not a bench record")
	// ErrNewer: the record has a newer format than this package knows.
	ErrNewer = errors.New("the bench record is of a newer format")
	// ErrTorn: the last line is incomplete, because its writer was killed or
	// the disk was full. All lines before it are complete.
	ErrTorn = errors.New("the last line is torn")
)

// An Entry is one line: either Header or Point is set; neither for a line type
// that this version does not know.
type Entry struct {
	Header *Header
	Point  *Point
}

// Read yields the lines in order; the first is the header. An error names its
// line and ends the loop. Concatenated records, each with its header, are read
// as one.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), MaxLine)
		lines.Split(wholeLines)
		number := 0
		for lines.Scan() {
			number++
			e, err := decode(lines.Bytes(), number == 1)
			if err != nil {
				yield(Entry{}, fmt.Errorf("line %d: %w", number, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		err := lines.Err()
		if err == nil && number == 0 {
			err = fmt.Errorf("%w: it is empty", ErrNoHeader)
		}
		if err != nil {
			yield(Entry{}, fmt.Errorf("line %d: %w", number+1, err))
		}
	}
}

// wholeLines is a bufio.SplitFunc that returns only complete lines.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, ErrTorn
	}
	return 0, nil, nil
}

func decode(line []byte, first bool) (Entry, error) {
	var kind struct {
		Type   string `json:"type"`
		Format int    `json:"format"`
	}
	err := json.Unmarshal(line, &kind)
	// Check the version first: a newer format may use the other fields
	// differently.
	isHeader := err == nil && kind.Type == "bench"
	switch {
	case first && (!isHeader || kind.Format < 1):
		return Entry{}, ErrNoHeader
	case err != nil:
		return Entry{}, fmt.Errorf("decoding: %w", err)
	case isHeader && kind.Format > Format:
		return Entry{}, fmt.Errorf("%w: %d, and %d is the newest known here", ErrNewer, kind.Format, Format)
	}
	var e Entry
	switch kind.Type {
	case "bench":
		l := new(headerLine)
		err, e.Header = json.Unmarshal(line, l), &l.Header
	case "point":
		l := new(pointLine)
		err, e.Point = json.Unmarshal(line, l), &l.Point
	}
	if err != nil {
		return Entry{}, fmt.Errorf("decoding: %w", err)
	}
	return e, nil
}

// Format is the record version that this package writes, and the newest that it
// reads.
const Format = 1

type headerLine struct {
	Type   string `json:"type"`
	Format int    `json:"format"`
	Header
}

type pointLine struct {
	Type string `json:"type"`
	Point
}

// WriteHeader writes the first line of a record with one Write.
func WriteHeader(w io.Writer, h Header) error {
	return writeLine(w, headerLine{"bench", Format, h})
}

// WritePoint writes one point as a line with one Write.
func WritePoint(w io.Writer, p Point) error {
	return writeLine(w, pointLine{"point", p})
}

func writeLine(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a bench record: %w", err)
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing a bench record: %w", err)
	}
	return nil
}
