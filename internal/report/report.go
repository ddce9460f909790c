// Package report computes what a recorded run can tell at a glance, and renders it for a
// terminal, as Markdown, JSON, CSV and JUnit XML, and as one HTML file that needs no network.
//
//	results ─▸ Collector ─▸ Report ─▸ Text, Markdown, JSON, CSV, JUnit, HTML
//
// A Collector holds one short row for each host, and each distinct output once, cut at a stated
// size: what is left out is counted and said. Nothing that a host sent is ever markup.
package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/hint"
	"shoal/internal/mask"
	"shoal/internal/textdiff"
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
	// Groups say which results are equal.
	Groups groups.Options
	// Reference is the host with whose group the others are compared; "" means the largest
	// group that gave an answer.
	Reference string
	// Watch is set for a watch: the results are then the last ones of its hosts, from different
	// ticks, and have no common times.
	Watch *Watch
}

// A Watch is what there is to tell of a watch beside the last results of its hosts.
type Watch struct {
	Head    [][2]string // of its ticks, as the head of the report has it
	Changes []Changed   // the last ones, the newest first
	// Earlier is the number of changes before these that are left out.
	Earlier int
}

// Changed says which hosts had another result in a tick than before. Its texts can be shown.
type Changed struct {
	When, What string
	Tick       int
	Hosts      string // folded
	First      int    // the index of the first of them
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
	Texts    []Text // Host.Text, Host.Error, Group.Text and Group.Diff are indexes into it
	// Told has the masked kinds in which hosts of one group differ.
	Told mask.Set
	// NoReference means that Options.Reference gave no answer.
	NoReference bool
	// NotCompared is the number of groups that gave an answer and were not compared with the
	// reference, because they are too many or too large.
	NotCompared int
	// Lines are the answers of many groups line by line, an index into Texts, and Lined the number
	// of hosts whose answers are in it; -1: they are few, and diffs show it.
	Lines, Lined int
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

// Name returns Below for people: bins differ by a factor, also those of a few milliseconds.
func (b *Bin) Name() string {
	if b.Below < time.Second {
		return fmt.Sprintf("%d ms", b.Below.Milliseconds())
	}
	return ui.Duration(b.Below)
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
	Running bool          // it has no result yet, and its command was sent, or is about to be
	Error   int           // an index into Texts; -1: none
	Start   time.Duration // after the beginning of the run; valid if Attempt is not 0
	Took    time.Duration
	Attempt int
	Text    int // the output, an index into Texts; -1: none
	// Answer is the last answer of a host of a watch that gave none last, and Diff how its last
	// answer differs from the one before: indexes into Texts, set by Collector.History; -1: none.
	Answer, Diff int
}

// A Text is a text of hosts that can be shown: everything that a terminal or a browser would
// interpret or hide is escaped.
type Text struct {
	Text string
	Left int64 // bytes that are left out at its end
}

// A Group is the hosts with equal results.
type Group struct {
	Outcome fleet.Outcome
	Cause   string
	Text    int   // the output of Shown, an index into Texts; -1: none
	Hosts   []int // indexes into Report.Hosts
	Shown   int   // the one of them whose output stands for all
	Differ  mask.Set
	// Reference is set for the group with which others are compared, and Diff is how this one
	// differs from it: a unified diff, an index into Texts; -1: it was not compared.
	Reference bool
	Diff      int
}

// A Collector makes a report.
type Collector struct {
	r      Report
	texts  map[[sha256.Size]byte]int
	groups *groups.Collector
	took   [fleet.NumPhases + 1][]time.Duration
}

// NewCollector returns a Collector without results. Report or Close frees what it holds.
func NewCollector(o Options) *Collector {
	if o.MaxText == 0 {
		o.MaxText = DefaultMaxText
	}
	return &Collector{r: Report{Options: o}, texts: make(map[[sha256.Size]byte]int), groups: groups.New(o.Groups)}
}

// Close frees what a Collector holds of which no report is made.
func (c *Collector) Close() error { return c.groups.Close() }

// Add adds a result. Results must come in the order of their targets.
func (c *Collector) Add(r fleet.Result) {
	c.r.Summary.Add(r)
	h := Host{Index: r.Target.Index, Name: r.Target.Host.String(), Outcome: r.Outcome, Cause: Cause(&r.End), Attempt: r.Attempt, Took: r.Took.Total(), Error: -1, Answer: -1, Diff: -1}
	if !r.Started.IsZero() {
		h.Start = max(r.Started.Sub(c.r.Header.Started), 0)
	}
	if r.Err != nil {
		what, _ := hint.Split(r.Err.Error())
		h.Error = c.text([]byte(what), int64(len(what)), nil, 0)
	}
	h.Text = c.text(r.Stdout.Bytes, r.Stdout.Size, r.Stderr.Bytes, r.Stderr.Size)
	c.groups.Add(&r)
	c.r.Hosts = append(c.r.Hosts, h)
	if r.Attempt == 0 || c.r.Watch != nil {
		return
	}
	for p, took := range r.Took {
		if took > 0 {
			c.took[p] = append(c.took[p], took)
		}
	}
	c.took[fleet.NumPhases] = append(c.took[fleet.NumPhases], h.Took)
}

// Pending adds a target that has no result yet; started means that it has an intent. It is
// among the hosts, and counts nowhere.
func (c *Collector) Pending(t fleet.Target, started bool) {
	c.r.Hosts = append(c.r.Hosts, Host{Index: t.Index, Name: t.Host.String(), Running: started, Error: -1, Text: -1, Answer: -1, Diff: -1})
}

// History adds the last results of the host that was added last, whose name this is, the newest
// first: its last answer, if it gave none last, and how that differs from the answer before.
func (c *Collector) History(name string, results []fleet.Result) {
	h := &c.r.Hosts[len(c.r.Hosts)-1]
	var last *fleet.Result
	for i := range results {
		switch r := &results[i]; {
		case !r.Answered():
		case last == nil:
			if last = r; i > 0 {
				h.Answer = c.text(r.Stdout.Bytes, r.Stdout.Size, r.Stderr.Bytes, r.Stderr.Size)
			}
		default:
			texts := func(r *fleet.Result) [fleet.NumStreams][]byte {
				return [...][]byte{r.Stdout.Bytes, r.Stderr.Bytes}
			}
			d := c.groups.Change(name, texts(r), texts(last))
			if h.Diff = len(c.r.Texts); d.None() {
				h.Diff = -1
			} else {
				c.r.Texts = append(c.r.Texts, c.r.diffText(&d.Difference))
			}
			return
		}
	}
}

// text stores a host's standard output, and below it its standard error.
func (c *Collector) text(stdout []byte, stdoutSize int64, stderr []byte, stderrSize int64) int {
	if stdoutSize+stderrSize == 0 {
		return -1
	}
	hash := sha256.New()
	for _, n := range []int64{stdoutSize, stderrSize, int64(len(stdout))} { // of which no text can be a part
		_ = binary.Write(hash, binary.BigEndian, n) // a hash has no errors
	}
	hash.Write(stdout)
	hash.Write(stderr)
	sum := [sha256.Size]byte(hash.Sum(nil))
	if at, known := c.texts[sum]; known {
		return at
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
	return len(c.r.Texts) - 1
}

// Cause returns why a target did not end well, in a word; "" if it is ok.
func Cause(e *fleet.End) string {
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

// Report returns the report of what was added, and closes the Collector. elapsed is the duration
// of the run.
func (c *Collector) Report(elapsed time.Duration) (*Report, error) {
	r := &c.r
	r.Summary.Elapsed, r.Summary.Interrupted = elapsed, r.Interrupted
	r.Causes = r.Summary.Groups()
	if err := errors.Join(c.group(), c.groups.Close()); err != nil {
		return nil, fmt.Errorf("comparing the answers: %w", err)
	}
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
	if r.Watch == nil {
		r.Timeline = newTimeline(r.Hosts)
	}
	return r, nil
}

const (
	// maxDiffs is the number of groups, the largest, that are compared with the reference.
	maxDiffs = 200
	// maxDiffLines is the number of lines of one diff that are kept.
	maxDiffLines = 400
	// maxCompared is the size of an output above which it is not compared here, in bytes: the
	// commands that show one run with diffs compare larger ones.
	maxCompared = 1 << 20
)

// group sets the groups, and how the largest of them differ from the reference.
func (c *Collector) group() error {
	r, gs := &c.r, c.groups.Groups()
	r.Told = gs.Told
	answers, _ := gs.Answers()
	var ref *groups.Group
	if len(answers) > 0 {
		ref = answers[0]
	}
	if r.Reference != "" {
		if g := gs.Of(r.Reference); g != nil && g.Answered() {
			ref = g
		} else {
			r.NoReference = true
		}
	}
	compared := 0
	for _, g := range gs.List {
		one := Group{Outcome: g.End.Outcome, Cause: Cause(&g.End), Differ: g.Differ, Reference: g == ref && len(answers) > 1, Diff: -1, Shown: c.host(g.Shown)}
		one.Text = r.Hosts[one.Shown].Text
		if r.Options.Groups.Part != nil && g.Answered() { // the part that was compared
			stdout, stderr, err := gs.Text(g)
			if err != nil {
				return err
			}
			one.Text = c.text(stdout, g.Sizes[fleet.Stdout], stderr, g.Sizes[fleet.Stderr])
		}
		for _, m := range g.Members {
			one.Hosts = append(one.Hosts, c.host(m))
		}
		switch {
		case g == ref || !g.Answered():
		case compared == maxDiffs || max(ref.Sizes[0], ref.Sizes[1], g.Sizes[0], g.Sizes[1]) > maxCompared:
			r.NotCompared++
		default:
			compared++
			d, err := gs.Diff(ref, g)
			if err != nil {
				return err
			}
			one.Diff = len(r.Texts)
			r.Texts = append(r.Texts, r.diffText(&d))
		}
		r.Groups = append(r.Groups, one)
	}
	r.Lines = -1
	if len(answers) > fewGroups {
		t, err := r.lines(gs, ref, answers)
		if t == nil {
			return err
		}
		r.Lines = len(r.Texts)
		r.Texts = append(r.Texts, *t)
	}
	return nil
}

// host returns the place of a member in Report.Hosts.
func (c *Collector) host(m groups.Member) int {
	at, _ := slices.BinarySearchFunc(c.r.Hosts, m.Index, func(h Host, index int) int { return cmp.Compare(h.Index, index) })
	return at
}

// diffText returns a difference as a unified diff that can be shown, cut at MaxText.
func (r *Report) diffText(d *groups.Difference) (t Text) {
	var b strings.Builder
	lines := 0
	add := func(op, line string) {
		text := op + string(ui.AppendVisible(nil, []byte(strings.TrimSuffix(line, "\n")), ui.KeepTab)) + "\n"
		if lines++; lines > maxDiffLines || b.Len()+len(text) > r.MaxText || t.Left > 0 {
			t.Left += int64(len(text))
			return
		}
		b.WriteString(text)
	}
	for s, hunks := range d.Streams {
		if fleet.Stream(s) == fleet.Stderr && (d.Large[s] || len(hunks) > 0) {
			add("", "standard error:")
		}
		if d.Large[s] {
			add("", "too large to be compared line by line")
		}
		for _, h := range hunks {
			add("", h.Header())
			for _, line := range h.Lines {
				add(string(line.Op), line.Text)
				if !strings.HasSuffix(line.Text, "\n") {
					add("", textdiff.NoNewline)
				}
			}
		}
	}
	if d.None() {
		add("", "the output is the reference's")
	}
	t.Text = b.String()
	return t
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
