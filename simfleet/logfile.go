package simfleet

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"
	"unicode/utf8"

	"shoal/fleet"
)

// logLine is an Exec as one line of JSON. An exec has two, "started" and
// "ended", joined by id; the second one repeats the first and is complete.
type logLine struct {
	Event    string `json:"event"`
	ID       uint64 `json:"id"`
	Index    int    `json:"index"`
	Host     string `json:"host"`
	Conn     uint64 `json:"conn"`
	Command  string `json:"command"`
	Encoding string `json:"encoding,omitempty"` // "base64" where the command is not UTF-8

	Received time.Time   `json:"received"`
	Accepted bool        `json:"accepted"`
	Stdout   *written    `json:"stdout,omitempty"`
	Stderr   *written    `json:"stderr,omitempty"`
	Status   *uint32     `json:"status,omitempty"`
	Signal   string      `json:"signal,omitempty"`
	Ended    *time.Time  `json:"ended,omitempty"`
	Shells   []shellLine `json:"shells,omitempty"`
}

// shellLine is a Shell; its texts are base64.
type shellLine struct {
	Command []byte   `json:"command"`
	Args    [][]byte `json:"args,omitempty"`
	Ended   bool     `json:"ended,omitempty"`
	Status  int      `json:"status,omitempty"`
}

type written struct {
	Size   int64  `json:"size"`
	SHA256 Digest `json:"sha256"`

	Head    []byte   `json:"head,omitempty"` // base64
	Digests []Digest `json:"digests,omitempty"`
}

func writtenLine(w Written, p Prefix) *written {
	return &written{w.Size, w.SHA256, p.Head, p.Digests}
}

func (w *written) written() Written { return Written{w.Size, w.SHA256} }
func (w *written) prefix() Prefix   { return Prefix{w.Head, w.Digests} }

const (
	eventStarted = "started"
	eventEnded   = "ended"
	eventFiles   = "files"
	base64Text   = "base64"
)

// lineOf returns the line for e as it stands.
func lineOf(e Exec) logLine {
	l := logLine{
		Event: eventStarted, ID: e.ID, Index: e.Index, Host: e.Host, Conn: e.Conn,
		Command: e.Command, Received: e.Received.UTC(), Accepted: e.Accepted,
	}
	if !utf8.ValidString(e.Command) {
		l.Encoding, l.Command = base64Text, base64.StdEncoding.EncodeToString([]byte(e.Command))
	}
	if e.Ended.IsZero() {
		return l
	}
	ended := e.Ended.UTC()
	l.Event, l.Ended, l.Signal = eventEnded, &ended, e.Signal
	l.Stdout = writtenLine(e.Stdout, e.Prefixes[fleet.Stdout])
	l.Stderr = writtenLine(e.Stderr, e.Prefixes[fleet.Stderr])
	if e.HasStatus {
		l.Status = &e.Status
	}
	for _, s := range e.Shells {
		line := shellLine{Command: []byte(s.Command), Ended: s.Ended, Status: s.Status}
		for _, arg := range s.Args {
			line.Args = append(line.Args, []byte(arg))
		}
		l.Shells = append(l.Shells, line)
	}
	return l
}

// exec is the inverse of lineOf.
func (l logLine) exec() (Exec, error) {
	e := Exec{
		ID: l.ID, Index: l.Index, Host: l.Host, Conn: l.Conn,
		Command: l.Command, Received: l.Received, Accepted: l.Accepted, Signal: l.Signal,
	}
	switch l.Encoding {
	case "":
	case base64Text:
		command, err := base64.StdEncoding.DecodeString(l.Command)
		if err != nil {
			return Exec{}, fmt.Errorf("decoding the command: %w", err)
		}
		e.Command = string(command)
	default:
		return Exec{}, fmt.Errorf("unknown encoding %.40q", l.Encoding)
	}
	switch {
	case l.Event == eventStarted:
		return e, nil
	case l.Event != eventEnded:
		return Exec{}, fmt.Errorf("unknown event %.40q", l.Event)
	case l.Ended == nil || l.Stdout == nil || l.Stderr == nil:
		return Exec{}, fmt.Errorf("exec %d has ended without its time or its streams", l.ID)
	}
	e.Ended, e.Stdout, e.Stderr = *l.Ended, l.Stdout.written(), l.Stderr.written()
	e.Prefixes = [fleet.NumStreams]Prefix{fleet.Stdout: l.Stdout.prefix(), fleet.Stderr: l.Stderr.prefix()}
	if l.Status != nil {
		e.HasStatus, e.Status = true, *l.Status
	}
	for _, s := range l.Shells {
		inner := Shell{Command: string(s.Command), Ended: s.Ended, Status: s.Status}
		for _, arg := range s.Args {
			inner.Args = append(inner.Args, string(arg))
		}
		e.Shells = append(e.Shells, inner)
	}
	return e, nil
}

// A LogWriter writes execs as they come; Record fits Options.Oracle. Each line
// is one Write, so that what a killed process has seen is in the file.
type LogWriter struct {
	mu  sync.Mutex // held during the write: lines must not mix, and nothing else needs it
	w   io.Writer
	err error
}

// NewLogWriter returns one that writes to w, without a buffer.
func NewLogWriter(w io.Writer) *LogWriter { return &LogWriter{w: w} }

// Record writes one line. After a failure it does nothing more.
func (l *LogWriter) Record(e Exec) { l.write(lineOf(e)) }

func (l *LogWriter) write(v any) {
	line, err := json.Marshal(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	if err == nil {
		_, err = l.w.Write(append(line, '\n'))
	}
	if err != nil {
		l.err = fmt.Errorf("writing the log: %w", err)
	}
}

// Err returns the first failure; nil when everything was written.
func (l *LogWriter) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// WriteLog writes a log, one line for each exec.
func WriteLog(w io.Writer, log []Exec) error {
	out := bufio.NewWriter(w)
	lines := NewLogWriter(out)
	for _, e := range log {
		lines.Record(e)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the log: %w", err)
	}
	return nil
}

// filesLine is what one host's files are, as one line of JSON.
// Paths are base64: they may have any bytes.
type filesLine struct {
	Event string     `json:"event"`
	Index int        `json:"index"`
	Host  string     `json:"host"`
	Files []fileLine `json:"files"`
	Names [][]byte   `json:"names,omitempty"`
	Whole bool       `json:"whole,omitempty"`
}

type fileLine struct {
	Path   []byte      `json:"path"`
	Size   int64       `json:"size"`
	SHA256 Digest      `json:"sha256"`
	Mode   fs.FileMode `json:"mode"` // as in package io/fs
	UID    uint32      `json:"uid"`
	Target []byte      `json:"target,omitempty"`
	Time   time.Time   `json:"time"`
}

func filesLineOf(h HostFiles) filesLine {
	l := filesLine{Event: eventFiles, Index: h.Index, Host: h.Host, Whole: h.Whole}
	for _, f := range h.Files {
		l.Files = append(l.Files, fileLine{[]byte(f.Path), f.Size, f.SHA256, f.Mode, f.UID, []byte(f.Target), f.Time.UTC()})
	}
	for _, name := range h.Names {
		l.Names = append(l.Names, []byte(name))
	}
	return l
}

func (l filesLine) files() HostFiles {
	h := HostFiles{Index: l.Index, Host: l.Host, Whole: l.Whole}
	for _, f := range l.Files {
		h.Files = append(h.Files, File{string(f.Path), f.Size, f.SHA256, f.Mode, f.UID, string(f.Target), f.Time})
	}
	for _, name := range l.Names {
		h.Names = append(h.Names, string(name))
	}
	return h
}

// RecordFiles writes one line for each host.
func (l *LogWriter) RecordFiles(hosts []HostFiles) {
	for _, h := range hosts {
		l.write(filesLineOf(h))
	}
}

// ReadFiles reads what RecordFiles wrote; the lines of execs are left out.
func ReadFiles(r io.Reader) ([]HostFiles, error) {
	in := bufio.NewReader(r)
	var all []HostFiles
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		var line filesLine
		if err == nil {
			err = json.Unmarshal(text, &line)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the files of the log: line %d: %w", n, err)
		}
		if line.Event == eventFiles {
			all = append(all, line.files())
		}
	}
}

// ReadLog reads what WriteLog or a LogWriter wrote, in the order in which the
// execs started. An exec without an "ended" line has Ended zero. A last line
// without a newline was cut off by the end of its writer, and is left out.
func ReadLog(r io.Reader) ([]Exec, error) {
	in := bufio.NewReader(r)
	var log []Exec
	place := make(map[uint64]int) // in log, by ID
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return log, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		var line logLine
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("reading the log: line %d: %w", n, err)
		}
		if line.Event == eventFiles {
			continue
		}
		e, err := line.exec()
		if err != nil {
			return nil, fmt.Errorf("reading the log: line %d: %w", n, err)
		}
		if i, known := place[e.ID]; known {
			log[i] = e
			continue
		}
		place[e.ID] = len(log)
		log = append(log, e)
	}
}
