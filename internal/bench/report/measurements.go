package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
)

// ErrNothing means that no run in the records was completed.
var ErrNothing = errors.New("no run came to its end")

// Measurements collects records. The zero value is ready to use. Host phases
// are kept only for each strategy's largest size, to bound memory.
type Measurements struct {
	files   []File
	runs    []run
	largest map[string]int
	notes   []string
}

// A File is one record file that was added.
type File struct {
	Name   string
	Header benchrecord.Header
}

// A run is one point with what is needed of its hosts.
type run struct {
	benchrecord.Point // Hosts is nil, except at the largest size
	alone             time.Duration
}

// Add reads a whole record file. name is used in messages. A file that was
// measured under other conditions is refused with a [DisagreeError]; an
// incomplete last line, as an interrupted bench leaves it, is noted and
// skipped. After an error the Measurements must not be used.
func (m *Measurements) Add(name string, r io.Reader) error {
	for e, err := range benchrecord.Read(r) {
		switch {
		case errors.Is(err, benchrecord.ErrTorn):
			m.notes = append(m.notes, fmt.Sprintf("%s: the last line is torn and left out; everything before it counts", name))
			return nil
		case err != nil:
			return fmt.Errorf("reading %s: %w", name, err)
		case e.Header != nil:
			if err := m.addHeader(File{name, *e.Header}); err != nil {
				return err
			}
		case e.Point != nil && !e.Point.Warmup:
			if err := m.addPoint(*e.Point); err != nil {
				return fmt.Errorf("reading %s: %w", name, err)
			}
		}
	}
	return nil
}

func (m *Measurements) addHeader(f File) error {
	for _, other := range m.files {
		if err := agree(other, f); err != nil {
			return err
		}
	}
	m.files = append(m.files, f)
	return nil
}

func (m *Measurements) addPoint(p benchrecord.Point) error {
	if p.Strategy == "" || p.Size < 1 || p.Wall < 0 || p.Complete && p.Wall == 0 {
		return fmt.Errorf("a point of strategy %.40q with %d hosts and %v cannot be", p.Strategy, p.Size, p.Wall)
	}
	if m.largest == nil {
		m.largest = make(map[string]int)
	}
	r := run{Point: p, alone: medianTotal(p.Hosts)}
	switch known := m.largest[p.Strategy]; {
	case p.Size < known:
		r.Hosts = nil
	case p.Size > known:
		m.largest[p.Strategy] = p.Size
		for i := range m.runs {
			if m.runs[i].Strategy == p.Strategy {
				m.runs[i].Hosts = nil
			}
		}
	}
	m.runs = append(m.runs, r)
	return nil
}

// medianTotal returns the median time of a host from dial to drain; 0 without
// hosts.
func medianTotal(hosts []benchrecord.HostTimes) time.Duration {
	totals := make([]time.Duration, len(hosts))
	for i, h := range hosts {
		totals[i] = fleet.Durations(h.Phases).Total()
	}
	slices.Sort(totals)
	return quantile(totals, 0.5)
}

// ReferenceName is the source of the published figures.
const ReferenceName = "published reference (Python, asyncio and AsyncSSH, one server at 6 ms)"

// A Published is a published figure of the reference. It comes from another
// machine and server, so it only shows the order of magnitude.
type Published struct {
	Hosts     int
	Strategy  string
	Wall      time.Duration
	RunsADay  int // as published; 0: not published
	Projected bool
}

// Reference returns the published figures.
func Reference() []Published {
	return []Published{
		{Hosts: 200, Strategy: Serial, Wall: 41200 * time.Millisecond},
		{Hosts: 200, Strategy: Concurrent, Wall: 14800 * time.Millisecond},
		{Hosts: 10000, Strategy: Serial, Wall: 40 * time.Minute, RunsADay: 36, Projected: true},
		{Hosts: 10000, Strategy: Concurrent, Wall: 7 * time.Minute, RunsADay: 205, Projected: true},
	}
}
