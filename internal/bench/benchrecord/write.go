package benchrecord

import (
	"encoding/json"
	"fmt"
	"io"
)

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
