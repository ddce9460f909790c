package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// marks are, in a directory, how far the logs of shards had come that workers of this machine have taken:
// a worker that was started anew does not run a signed shard in another log. Whoever has the directory
// appends to the same files and reads what others have appended. There is one for each hour in which
// signatures expire, which is removed afterwards. nil keeps none.
type marks struct {
	dir string

	mu    sync.Mutex
	known map[hintOf]took
	read  map[string]int64 // by file: how far it was read
}

// A markLine is a line of such a file.
type markLine struct {
	hintOf

	Seq     uint64 `json:"seq"`
	Digest  string `json:"digest"`
	Expires int64  `json:"expires"` // in Unix seconds
}

const (
	marksPrefix = "taken-"
	marksHour   = 3600
	maxMarks    = 1 << 30 // bytes that are read of a file
)

// openMarks opens those below a state directory, which it makes.
func openMarks(state string, now time.Time) (*marks, error) {
	m := &marks{dir: filepath.Join(state, "workers"), known: make(map[hintOf]took), read: make(map[string]int64)}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for what workers have taken: %w", err)
	}
	return m, m.refresh(now)
}

// at returns the mark of a shard; its seq is 0 if there is none.
func (m *marks) at(h hintOf, now time.Time) (mark, error) {
	if m == nil {
		return mark{}, nil
	}
	if err := m.refresh(now); err != nil {
		return mark{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[h].mark, nil
}

// refresh reads what was appended, and forgets what has expired.
func (m *marks) refresh(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := func(err error) error { return fmt.Errorf("reading what workers have taken: %w", err) }
	list, err := os.ReadDir(m.dir)
	if err != nil {
		return failed(err)
	}
	for h, t := range m.known {
		if now.After(t.expires) {
			delete(m.known, h)
		}
	}
	for _, entry := range list {
		text, ok := strings.CutPrefix(entry.Name(), marksPrefix)
		hour, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil {
			continue
		}
		path := filepath.Join(m.dir, entry.Name())
		if now.Unix() > (hour+1)*marksHour {
			delete(m.read, path)
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return failed(err)
			}
			continue
		}
		if err := m.readFileLocked(path); err != nil {
			return failed(err)
		}
	}
	return nil
}

func (m *marks) readFileLocked(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // another has removed it
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.NewSectionReader(file, m.read[path], maxMarks))
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	m.read[path] += int64(whole)
	for line := range bytes.SplitSeq(data[:whole], []byte("\n")) {
		var l markLine
		if len(line) == 0 || json.Unmarshal(line, &l) != nil {
			continue // the machine went down while it was written, and nothing was begun
		}
		if l.Seq >= m.known[l.hintOf].seq {
			m.known[l.hintOf] = took{mark{l.Seq, l.Digest}, time.Unix(l.Expires, 0)}
		}
	}
	return nil
}

// add notes how far the log of a shard has come. With sync it is on the disk when add returns; otherwise it
// outlives this process, and not the machine.
func (m *marks) add(h hintOf, t took, sync bool) error {
	if m == nil {
		return nil
	}
	line, err := json.Marshal(markLine{h, t.seq, t.digest, t.expires.Unix()})
	if err == nil {
		path := filepath.Join(m.dir, marksPrefix+strconv.FormatInt(t.expires.Unix()/marksHour, 10))
		// The newline before ends a line that was cut.
		err = appendTo(path, append(append([]byte("\n"), line...), '\n'), sync)
	}
	if err != nil {
		return fmt.Errorf("noting what this worker has taken: %w", err)
	}
	return nil
}

func appendTo(path string, line []byte, sync bool) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(line) // one write: others append too
	if sync && err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
