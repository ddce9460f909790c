package record

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Header describes the run that the results belong to.
type Header struct {
	// Program is the program's name and version.
	Program string
	// Run identifies the run.
	Run string
	// Started is when the run began.
	Started time.Time
	// Command is the command as the user wrote it, with its placeholders.
	Command string
	// Targets is the number of targets; 0 means unknown.
	Targets int
	// Fanout is the maximum number of targets in progress at the same time.
	Fanout int
}

func appendHeader(dst []byte, h Header) []byte {
	dst = append(dst, `{"type":"run"`...)
	dst = appendInt(dst, "format", Version)
	dst = appendText(dst, "program", h.Program)
	dst = appendText(dst, "run", h.Run)
	dst = appendTime(dst, "started", h.Started)
	dst = appendText(dst, "command", h.Command)
	if h.Targets != 0 {
		dst = appendInt(dst, "targets", int64(h.Targets))
	}
	dst = appendInt(dst, "fanout", int64(h.Fanout))
	return append(dst, "}\n"...)
}

func appendTime(dst []byte, key string, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	dst = append(appendKey(dst, key), '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

type headerLine struct {
	Format          int       `json:"format" schema:"always"`
	Program         string    `json:"program" schema:"always"`
	ProgramEncoding string    `json:"program_encoding"`
	Run             string    `json:"run" schema:"always"`
	RunEncoding     string    `json:"run_encoding"`
	Started         time.Time `json:"started"`
	Command         string    `json:"command" schema:"always"`
	CommandEncoding string    `json:"command_encoding"`
	Targets         int       `json:"targets"`
	Fanout          int       `json:"fanout" schema:"always"`
}

func decodeHeader(line []byte) (*Header, error) {
	// Check the version first: in a newer format the other fields may have other meanings.
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(line, &version); err != nil {
		return nil, fmt.Errorf("decoding the header: %w", err)
	}
	switch {
	case version.Format < 1:
		return nil, fmt.Errorf("%w: the header has no format", ErrNoHeader)
	case version.Format > Version:
		return nil, fmt.Errorf("%w: format %d, and %d is the newest known here", ErrNewer, version.Format, Version)
	}
	var l headerLine
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, fmt.Errorf("decoding the header: %w", err)
	}
	h := &Header{Started: l.Started, Targets: l.Targets, Fanout: l.Fanout}
	texts := textDecoder{}
	h.Program = texts.decode("program", l.Program, l.ProgramEncoding)
	h.Run = texts.decode("run", l.Run, l.RunEncoding)
	h.Command = texts.decode("command", l.Command, l.CommandEncoding)
	if texts.err != nil {
		return nil, texts.err
	}
	return h, nil
}

// textDecoder decodes several texts and keeps the first error.
type textDecoder struct{ err error }

func (d *textDecoder) decode(key, text, encoding string) string {
	decoded, err := decodeText(key, text, encoding)
	if d.err == nil {
		d.err = err
	}
	return decoded
}
