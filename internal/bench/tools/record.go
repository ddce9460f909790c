package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"shoal/internal/bench/benchrecord"
)

// A Header is the first line of the results.
type Header struct {
	Program  string              `json:"program"`
	Commit   string              `json:"commit"`
	Started  time.Time           `json:"started"`
	Machine  benchrecord.Machine `json:"machine"` // Host is empty
	Load     string              `json:"load"`    // averages of 1, 5 and 15 minutes at the start
	Files    uint64              `json:"files"`   // limit of open files per process
	Settings Settings            `json:"settings"`
}

// A Probe is what was found out about a tool before the measurements, with one
// host.
type Probe struct {
	Target  string `json:"target"`
	Tool    string `json:"tool"`
	Version string `json:"version"`
	// Kex is the key exchange that tool and target chose, as seen on the wire.
	Kex string `json:"kex"`
	// RefusesWrongKey reports that the tool returned no output from a host
	// whose key differs from known_hosts.
	RefusesWrongKey bool `json:"refuses_wrong_key"`
}

// A Point is one run of one tool on one target.
type Point struct {
	Target    string        `json:"target"`
	Tool      string        `json:"tool"`
	Size      int           `json:"size"`
	Repeat    int           `json:"repeat"` // from 1
	Started   time.Time     `json:"started"`
	Wall      time.Duration `json:"wall_ns"`
	CPUUser   time.Duration `json:"cpu_user_ns"`   // user time of the tool and its children
	CPUSystem time.Duration `json:"cpu_system_ns"` // system time of the same
	ServerCPU time.Duration `json:"server_cpu_ns"` // of the target during the run
	Largest   int64         `json:"peak_rss"`      // of the largest process, bytes
	Process   string        `json:"peak_process"`  // that process's name
	Tree      int64         `json:"peak_tree_pss"` // of all processes together, bytes
	Processes int           `json:"processes"`     // maximum at once
	Left      int           `json:"left"`          // still running when the tool had exited
	Exit      int           `json:"exit"`
	Correct   int           `json:"correct"`           // outputs that are exactly as expected
	Failure   string        `json:"failure,omitempty"` // what failed; "" means nothing
	Error     string        `json:"error,omitempty"`   // first line of its error output
	Argv      []string      `json:"argv"`
}

func (p Point) cpu() time.Duration { return p.CPUUser + p.CPUSystem }

// format is the version of the records.
const format = 1

// results are the two files that a run writes.
type results struct {
	jsonl *os.File
	table string // path of the table
}

// newResults creates peers-<date>.jsonl in dir, with a number if the day
// already has one.
func newResults(dir string, day time.Time) (*results, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { // results are readable by all
		return nil, fmt.Errorf("making the directory of the results: %w", err)
	}
	name := filepath.Join(dir, "peers-"+day.Format(time.DateOnly))
	stem := name
	for n := 2; ; n++ {
		file, err := os.OpenFile(stem+".jsonl", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) // as above
		if err == nil {
			return &results{jsonl: file, table: stem + ".md"}, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("making the results: %w", err)
		}
		stem = fmt.Sprintf("%s-%d", name, n)
	}
}

func (r *results) header(h Header) error {
	return r.line(struct {
		Type   string `json:"type"`
		Format int    `json:"format"`
		Header
	}{"peers", format, h})
}

func (r *results) probe(p Probe) error {
	return r.line(struct {
		Type string `json:"type"`
		Probe
	}{"probe", p})
}

func (r *results) point(p Point) error {
	return r.line(struct {
		Type string `json:"type"`
		Point
	}{"point", p})
}

func (r *results) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a result: %w", err)
	}
	if _, err := r.jsonl.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing a result: %w", err)
	}
	return nil
}
