// Package report computes what a recorded run can tell at a glance, and renders it for a
// terminal, as Markdown, as JSON, and as one HTML file that needs no network.
//
//	results ─▸ Collector ─▸ Report ─▸ Text, Markdown, JSON, HTML
//
// A Collector holds one short row for each host, and each distinct output once, cut at a stated
// size: what is left out is counted and said. Nothing that a host sent is ever markup.
package report

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ui"
	"shoal/record"
)

// DefaultMaxText is how much of each text a report has, in bytes: 8 KiB.
const DefaultMaxText = 8 << 10

// Options configure a Collector.
type Options struct {
	Header record.Header
	// Directory is where the run was begun; "" if unknown.
	Directory   string
	Interrupted bool
	// MaxText limits each text, in bytes; 0 means DefaultMaxText.
	MaxText int
}

// A Report is what there is to tell of a run.
type Report struct {
	Options
	Summary  record.Summary
	Causes   []record.Group
	Phases   []Phase // those that took time, in their order, and the total as the last one
	Groups   []Group // the largest first
	Timeline Timeline
	Hosts    []Host // in the order of the targets
	Texts    []Text // distinct; Host.Text and Group.Text are indexes into it
}

// A Phase has the times that the hosts spent in a phase.
type Phase struct {
	Name               string // "total" is the sum of all phases
	Hosts              int    // that have spent time in it
	P50, P90, P99, Max time.Duration
	Histogram          []Bin
}

// A Bin is a part of a histogram: the number of times less than Below and no less than that of
// the bin before. Below doubles from bin to bin.
type Bin struct {
	Below time.Duration
	Hosts int
}

// A Timeline is the number of sessions that were open in equal spans of time, from the beginning
// of the run: the most within each span.
type Timeline struct {
	Span time.Duration
	Open []int
}

// A Host is one target.
type Host struct {
	Index   int
	Name    string // may be any text; escaped where it is shown
	Outcome fleet.Outcome
	Cause   string        // reason, exit status or signal; "" if ok
	Error   int           // an index into Texts; -1: none
	Start   time.Duration // after the beginning of the run; valid if Attempt is not 0
	Took    time.Duration
	Attempt int
	Text    int // the output, an index into Texts; -1: none
}

// A Text is a text of hosts that can be shown: everything that a terminal or a browser would
// interpret or hide is escaped.
type Text struct {
	Text string
	Left int64 // bytes that are left out at its end
}

// A Group is the hosts with equal results: outcome, cause and output.
type Group struct {
	Outcome fleet.Outcome
	Cause   string
	Text    int // the output, an index into Texts; -1: none
	Hosts   []int
}

// A Collector makes a report.
type Collector struct {
	r      Report
	texts  map[[sha256.Size]byte]int
	groups map[groupKey]int
	took   [fleet.NumPhases + 1][]time.Duration
}

type groupKey struct {
	outcome fleet.Outcome
	cause   string
	text    [sha256.Size]byte
}

// NewCollector returns a Collector without results.
func NewCollector(o Options) *Collector {
	if o.MaxText == 0 {
		o.MaxText = DefaultMaxText
	}
	return &Collector{r: Report{Options: o}, texts: make(map[[sha256.Size]byte]int), groups: make(map[groupKey]int)}
}

// Add adds a result. Results must come in the order of their targets.
func (c *Collector) Add(r fleet.Result) {
	c.r.Summary.Add(r)
	h := Host{Index: r.Target.Index, Name: r.Target.Host.String(), Outcome: r.Outcome, Cause: cause(&r.End), Attempt: r.Attempt, Took: r.Took.Total(), Error: -1}
	if !r.Started.IsZero() {
		h.Start = max(r.Started.Sub(c.r.Header.Started), 0)
	}
	if r.Err != nil {
		what, _ := hint.Split(r.Err.Error())
		h.Error, _ = c.text([]byte(what), int64(len(what)), nil, 0)
	}
	text, sum := c.text(r.Stdout.Bytes, r.Stdout.Size, r.Stderr.Bytes, r.Stderr.Size)
	h.Text = text
	key := groupKey{h.Outcome, h.Cause, sum}
	at, known := c.groups[key]
	if !known {
		at = len(c.r.Groups)
		c.groups[key] = at
		c.r.Groups = append(c.r.Groups, Group{Outcome: h.Outcome, Cause: h.Cause, Text: text})
	}
	c.r.Groups[at].Hosts = append(c.r.Groups[at].Hosts, len(c.r.Hosts))
	c.r.Hosts = append(c.r.Hosts, h)
	if r.Attempt == 0 {
		return
	}
	for p, took := range r.Took {
		if took > 0 {
			c.took[p] = append(c.took[p], took)
		}
	}
	c.took[fleet.NumPhases] = append(c.took[fleet.NumPhases], h.Took)
}

// text stores a host's standard output, and below it its standard error.
func (c *Collector) text(stdout []byte, stdoutSize int64, stderr []byte, stderrSize int64) (int, [sha256.Size]byte) {
	if stdoutSize+stderrSize == 0 {
		return -1, [sha256.Size]byte{}
	}
	hash := sha256.New()
	hash.Write(stdout)
	hash.Write([]byte{0xff}) // in no UTF-8 text
	hash.Write(stderr)
	sum := [sha256.Size]byte(hash.Sum(nil))
	if at, known := c.texts[sum]; known {
		return at, sum
	}
	var t Text
	add := func(label string, kept []byte, size int64) {
		shown := kept[:min(len(kept), max(c.r.MaxText-len(t.Text), 0))]
		for len(shown) > 0 && len(shown) < len(kept) && kept[len(shown)]&0xc0 == 0x80 {
			shown = shown[:len(shown)-1] // no character is cut in two
		}
		if size > 0 {
			t.Text += label + string(ui.AppendVisible(nil, shown, ui.KeepNewline|ui.KeepTab))
		}
		t.Left += size - int64(len(shown))
	}
	add("", stdout, stdoutSize)
	label := ""
	if stdoutSize > 0 && stderrSize > 0 {
		label = "standard error:\n"
		if !strings.HasSuffix(t.Text, "\n") {
			label = "\n" + label
		}
	}
	add(label, stderr, stderrSize)
	c.texts[sum] = len(c.r.Texts)
	c.r.Texts = append(c.r.Texts, t)
	return len(c.r.Texts) - 1, sum
}

// cause returns why a target did not end well, in a word.
func cause(e *fleet.End) string {
	switch {
	case e.Reason != fleet.ReasonNone:
		return string(e.Reason)
	case e.Outcome == fleet.OutcomeFailed:
		return "exit status " + ui.Count(int64(e.Status))
	case e.Outcome == fleet.OutcomeSignalled:
		return "signal " + ui.Truncate(ui.Visible(e.Signal), 20)
	}
	return ""
}

// Report returns the report of what was added. elapsed is the duration of the run.
func (c *Collector) Report(elapsed time.Duration) *Report {
	r := &c.r
	r.Summary.Elapsed, r.Summary.Interrupted = elapsed, r.Interrupted
	r.Causes = r.Summary.Groups()
	slices.SortStableFunc(r.Groups, func(a, b Group) int { return len(b.Hosts) - len(a.Hosts) })
	for p, took := range c.took {
		if len(took) == 0 {
			continue
		}
		name := "total"
		if p < int(fleet.NumPhases) {
			name = fleet.Phase(p).String()
		}
		r.Phases = append(r.Phases, newPhase(name, took))
	}
	r.Timeline = newTimeline(r.Hosts)
	return r
}

func newPhase(name string, took []time.Duration) Phase {
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1)+0.5)] }
	p := Phase{Name: name, Hosts: len(took), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: took[len(took)-1]}
	// From the bin of the shortest time on, but no more than the last 16.
	below := time.Millisecond
	for below <= took[0] || p.Max/below >= 1<<15 {
		below *= 2
	}
	for rest := took; len(rest) > 0; below *= 2 {
		n, _ := slices.BinarySearch(rest, below)
		p.Histogram = append(p.Histogram, Bin{below, n})
		rest = rest[n:]
	}
	return p
}

// spans is the number of spans of a timeline.
const spans = 120

func newTimeline(hosts []Host) Timeline {
	var end time.Duration
	type change struct {
		at time.Duration
		by int
	}
	var changes []change
	for _, h := range hosts {
		if h.Attempt > 0 && h.Took > 0 {
			changes = append(changes, change{h.Start, 1}, change{h.Start + h.Took, -1})
			end = max(end, h.Start+h.Took)
		}
	}
	if end == 0 {
		return Timeline{}
	}
	slices.SortFunc(changes, func(a, b change) int {
		if a.at != b.at {
			return int(max(min(a.at-b.at, 1), -1))
		}
		return a.by - b.by
	})
	t := Timeline{Span: end/spans + 1, Open: make([]int, spans)}
	open, span := 0, 0
	for _, c := range changes {
		for at := int(c.at / t.Span); span < at; {
			span++
			t.Open[span] = open
		}
		open += c.by
		t.Open[span] = max(t.Open[span], open)
	}
	return t
}
