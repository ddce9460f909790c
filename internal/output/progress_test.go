package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"
	"pgregory.net/rapid"

	"shoal/fleet"
	"shoal/internal/runstate"
	"shoal/internal/ui"
	"shoal/record"
)

// counts returns outcomes by number.
func counts(ok, failed, neverStarted, unknown int) (n [fleet.NumOutcomes]int) {
	n[fleet.OutcomeOK], n[fleet.OutcomeFailed] = ok, failed
	n[fleet.OutcomeNeverStarted], n[fleet.OutcomeUnknown] = neverStarted, unknown
	return n
}

// active returns activities by number.
func active(connecting, running int) (n [runstate.NumActivities]int) {
	n[runstate.Connecting], n[runstate.Running] = connecting, running
	return n
}

// The moments of a run whose lines are in testdata/progress, at 40, 80 and 200 columns.
var moments = []struct {
	what string
	f    frame
}{
	{"the beginning", frame{Snapshot: runstate.Snapshot{Total: 10000, Watched: true, Active: [...]int{runstate.Resolving: 128, runstate.NumActivities - 1: 0}, Waiting: 9872, Elapsed: second / 5}}},
	{"nothing but failures", frame{Snapshot: runstate.Snapshot{
		Total: 2000, Done: 9, Outcomes: counts(0, 0, 9, 0), Watched: true, Active: active(100, 4), Waiting: 1887, Elapsed: second,
	}}},
	{"all at once, and the end cannot be known", frame{Snapshot: runstate.Snapshot{
		Total: 2000, Done: 1, Outcomes: counts(1, 0, 0, 0), Watched: true, Active: active(0, 1999), Elapsed: 3 * second,
	}}},
	{"half", frame{Snapshot: runstate.Snapshot{
		Total: 2000, Done: 1000, Outcomes: counts(988, 12, 0, 0), Watched: true,
		Active: [...]int{runstate.Resolving: 2, runstate.Connecting: 20, runstate.Running: 70, runstate.Draining: 3, runstate.Storing: 5}, Waiting: 900,
		Elapsed: 10 * second, Median: 800 * time.Millisecond, SlowAfter: 2400 * time.Millisecond, Slow: 2,
	}}},
	{"Ctrl-C", frame{Snapshot: runstate.Snapshot{
		Total: 2000, Done: 1000, Outcomes: counts(1000, 0, 0, 0), Watched: true, Active: active(0, 500), Waiting: 500, Elapsed: 10 * second, Stopping: true,
	}}},
	{"a stage", frame{Snapshot: runstate.Snapshot{
		Total: 500, Done: 100, Outcomes: counts(100, 0, 0, 0), Watched: true, Active: active(10, 20), Waiting: 370, Elapsed: 20 * second,
		Stage: runstate.Stage{Number: 2, Stages: 3, Targets: 150},
	}}},
	{"a pause", frame{Snapshot: runstate.Snapshot{
		Total: 500, Done: 100, Outcomes: counts(99, 1, 0, 0), Watched: true, Waiting: 400, Elapsed: 20 * second,
		Stage: runstate.Stage{Number: 1, Stages: 3, Next: time.Unix(1, 0)}, Pause: 28500 * time.Millisecond,
	}}},
	{"silence", frame{Snapshot: runstate.Snapshot{
		Total: 2000, Done: 1980, Outcomes: counts(1968, 12, 0, 0), Watched: true, Active: active(1, 19), Elapsed: 25 * second, Quiet: 5 * second,
		Median: 1200 * time.Millisecond, SlowAfter: 3600 * time.Millisecond, Slow: 20,
	}}},
	{"five left", frame{Snapshot: runstate.Snapshot{
		Total: 2000, Done: 1995, Outcomes: counts(1983, 12, 0, 0), Watched: true, Active: active(2, 3), Elapsed: 25 * second, Quiet: 5 * second,
		Median: 1200 * time.Millisecond, SlowAfter: 3600 * time.Millisecond, Slow: 3,
	}, left: []byActivity{{runstate.Connecting, []string{"db1", "db2"}}, {runstate.Running, []string{"web01", "web02", "web03"}}}, longest: 24 * second}},
	{"one left", frame{Snapshot: runstate.Snapshot{
		Total: 2000, Done: 1999, Outcomes: counts(1987, 12, 0, 0), Watched: true, Active: active(0, 1), Elapsed: 95 * second, Quiet: 70 * second,
	}, left: []byActivity{{runstate.Running, []string{"web02.example.org"}}}, longest: 94 * second}},
	{"only results are told", frame{Snapshot: runstate.Snapshot{Done: 1234, Outcomes: counts(1234, 0, 0, 0), Elapsed: 10 * second}}},
	{"in sum", frame{Snapshot: runstate.Snapshot{Total: 10000, Done: 9988, Outcomes: counts(9976, 3, 8, 1), Elapsed: 12300 * time.Millisecond}}},
}

// The line at the widths of a phone, a terminal and a wide one, as drawn: one column less.
func TestProgressLine(t *testing.T) {
	var b strings.Builder
	for _, m := range moments {
		fmt.Fprintf(&b, "%s\n", m.what)
		for _, columns := range []int{40, 80, 200} {
			line := m.f.line(columns-1, false)
			if ui.Width(line) >= columns {
				t.Errorf("%s at %d columns: %q", m.what, columns, line)
			}
			fmt.Fprintf(&b, "%5d |%s|\n", columns, line)
		}
		fmt.Fprintf(&b, "  log |%s|\n", m.f.text())
	}
	path := filepath.Join("testdata", "progress.golden")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("-update rewrites the file; got\n%s", b.String())
	}
}

// A line that is far too narrow keeps the number of results.
func TestProgressLineAtItsNarrowest(t *testing.T) {
	for columns, want := range map[int]string{13: "9,988/10,000", 8: "9,988/1…", 1: "…", 0: ""} {
		if got := moments[len(moments)-1].f.line(columns, true); got != want {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
}

// Failures are red, without changing what stands there.
func TestProgressLineInColour(t *testing.T) {
	for _, m := range moments {
		if got, want := uncoloured(m.f.line(79, true)), m.f.line(79, false); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := moments[len(moments)-1].f.line(79, true); !strings.Contains(got, "\x1b[31m3 failed\x1b[0m") {
		t.Errorf("%q", got)
	}
}

func uncoloured(text string) string {
	return regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(text, "")
}

func TestProgressLineNeverWraps(t *testing.T) {
	n := rapid.IntRange(0, 1<<40)
	rapid.Check(t, func(t *rapid.T) {
		f := frame{Snapshot: runstate.Snapshot{
			Total: n.Draw(t, "total"), Done: n.Draw(t, "done"), Outcomes: counts(n.Draw(t, "ok"), n.Draw(t, "failed"), n.Draw(t, "never"), n.Draw(t, "unknown")),
			Watched: rapid.Bool().Draw(t, "watched"), Active: active(n.Draw(t, "connecting"), n.Draw(t, "running")), Waiting: n.Draw(t, "waiting"),
			Elapsed: time.Duration(n.Draw(t, "elapsed")), Quiet: time.Duration(n.Draw(t, "quiet")), Stopping: rapid.Bool().Draw(t, "stopping"),
			Stage: runstate.Stage{Number: rapid.IntRange(0, 3).Draw(t, "stage"), Stages: 3}, Slow: n.Draw(t, "slow"), Median: second,
		}}
		if rapid.Bool().Draw(t, "few") {
			f.left = []byActivity{{runstate.Running, []string{"münchen-überall", "\x1b[2J"}}}
		}
		columns := rapid.IntRange(-1, 200).Draw(t, "columns")
		if line := uncoloured(f.line(columns, true)); ui.Width(line) > max(columns, 0) {
			t.Fatalf("%d columns: %q", columns, line)
		}
	})
}

// screen is a terminal that understands \r, \n and erasing the line.
type screen struct {
	mu    sync.Mutex
	bytes bytes.Buffer
	err   error
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	return s.bytes.Write(p)
}

// lines returns the visible lines; a line that was overwritten without being erased is an
// error.
func (s *screen) lines(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var seen strings.Builder
	for line := range strings.Lines(s.bytes.String()) {
		for i := strings.LastIndex(line, eraseLine); i >= 0; i = -1 {
			line = line[i+len(eraseLine):]
		}
		if strings.ContainsAny(line, "\r\x1b") {
			t.Errorf("garbled: %q", line)
		}
		seen.WriteString(line)
	}
	return seen.String()
}

// drawn reports each frame on the screen.
type drawn struct {
	*console
	frames chan struct{}
}

func (d drawn) Flush(lines int) error {
	defer func() { d.frames <- struct{}{} }()
	return d.console.Flush(lines)
}

// shown returns a Progress whose frames are drawn when the test calls draw.
func shown(s *screen, columns, total int) (p *Progress, draw func()) {
	refresh, frames := make(chan any), make(chan struct{})
	c := &console{w: s, columns: func() int { return columns }}
	o := ProgressOptions{W: s, Mode: ProgressLine, State: runstate.New(total)}
	p = newLine(c, o, mpb.WithConsoleWriter(drawn{c, frames}), mpb.WithManualRefresh(refresh))
	return p, func() {
		refresh <- time.Now()
		<-frames
	}
}

func TestProgressAndWhatIsPrintedAbove(t *testing.T) {
	s := &screen{}
	p, draw := shown(s, 20, 3)
	draw()
	if got := s.lines(t); got != "0/3  0%  0 ok" {
		t.Errorf("%q", got)
	}
	live := NewLive(LiveOptions{Stdout: Out{W: p.Writer()}, Stderr: Out{W: p.Writer()}})
	both := Multi(counted{p}, live)
	for _, r := range []fleet.Result{ok(0, "fine\n"), ended(1, exit(3), "so far", "bad\n")} {
		if err := both.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	above := "node1: fine\nnode2: so far\nnode2: bad\nshoal: node2: exit status 3\n"
	if got := s.lines(t); got != above+"0/3  0%  0 ok" {
		t.Errorf("before the frame: %q", got)
	}
	draw()
	if got := s.lines(t); !strings.HasPrefix(got, above+"2/3  1 ok  1 failed") {
		t.Errorf("after the frame: %q", got)
	}
	if err := both.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(t); got != above {
		t.Errorf("after Close: %q", got)
	}
	if _, err := io.WriteString(p.Writer(), "summary\n"); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(t); got != above+"summary\n" {
		t.Errorf("printed after Close: %q", got)
	}
}

// counted is a Progress as a sink of the results that it shows.
type counted struct{ *Progress }

func (c counted) Result(r fleet.Result) error {
	c.state.Result(r)
	return nil
}

// An attempt is one that is under way in a phase.
type attempt struct {
	index int
	phase fleet.Phase
	begun time.Time
	last  time.Time
}

func (a *attempt) Of() fleet.Target      { return target(a.index) }
func (a *attempt) Number() int           { return 1 }
func (a *attempt) Started() time.Time    { return a.begun }
func (a *attempt) Phase() fleet.Phase    { return a.phase }
func (a *attempt) LastOutput() time.Time { return a.last }

func (a *attempt) Tail(fleet.Stream, int) ([]byte, int64) { return nil, 0 }

func (a *attempt) Cancel() {}

// The line says how far the targets have come, and names them when few are left.
func TestProgressOfWhatIsInFlight(t *testing.T) {
	s := &screen{}
	p, draw := shown(s, 80, 3)
	attempts := make([]*attempt, 3)
	for i := range attempts {
		attempts[i] = &attempt{index: i, phase: fleet.PhaseDial, begun: time.Now()}
		p.state.Connecting(attempts[i])
	}
	attempts[2].phase = fleet.PhaseRun
	p.state.Stage(runstate.Stage{Number: 1, Stages: 2, Targets: 3})
	draw()
	if got := s.lines(t); got != "0/3  [            ]  stage 1 of 2, 3 hosts  node[1-2] connecting, node3 running" {
		t.Errorf("%q", got)
	}
	p.state.Ended(attempts[0])
	p.state.Waiting(target(0)) // for another attempt
	p.state.Stage(runstate.Stage{})
	p.state.Stopping()
	draw()
	if got := s.lines(t); got != "0/3  [                      ]  0%  stopping  1 connecting  1 running  1 waiting" {
		t.Errorf("%q", got)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestProgressWaitsForTheEndOfALine(t *testing.T) {
	s := &screen{}
	p, draw := shown(s, 80, 0)
	draw()
	for _, text := range []string{"", "a", "b"} {
		if n, err := io.WriteString(p.Writer(), text); n != len(text) || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
		draw()
	}
	if got := s.lines(t); got != "ab" {
		t.Errorf("%q", got)
	}
	if _, err := io.WriteString(p.Writer(), "c\n"); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(t); got != "abc\n0 done  0 ok" {
		t.Errorf("%q", got)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// A terminal wraps after a character in its last column.
func TestProgressLeavesTheLastColumn(t *testing.T) {
	for columns, want := range map[int]string{14: "0/3  0%  0 ok", 13: "0/3  0 ok"} {
		s := &screen{}
		p, draw := shown(s, columns, 3)
		draw()
		if got := s.lines(t); got != want {
			t.Errorf("%d columns: %q", columns, got)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// While hidden, the line is not on the screen, whatever is printed or drawn.
func TestProgressHidden(t *testing.T) {
	s := &screen{}
	p, draw := shown(s, 80, 3)
	draw()
	for _, c := range []struct {
		do   func() error
		want string
	}{
		{p.Hide, ""},
		{p.Hide, ""},
		{func() error { _, err := io.WriteString(p.Writer(), "stopped\n"); return err }, "stopped\n"},
		{func() error { err := counted{p}.Result(ok(0, "")); draw(); return err }, "stopped\n"},
		{p.Show, "stopped\n1/3"},
		{p.Hide, "stopped\n"},
		{p.Close, "stopped\n"},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(s.lines(t), "  "); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestProgressSilentWithoutTerminal(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(ProgressOptions{W: &b, State: runstate.New(2)})
	p.state.Result(ok(0, ""))
	if _, err := fmt.Fprint(p.Writer(), "exact\x00"); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if b.String() != "exact\x00" {
		t.Errorf("%q", b.String())
	}
}

func TestProgressTerminalGone(t *testing.T) {
	s := &screen{err: syscall.EIO}
	p, draw := shown(s, 80, 10)
	draw()
	if _, err := io.WriteString(p.Writer(), "x\n"); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	if err := p.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("at Close: %v", err)
	}
}

// Many writers, a terminal that refreshes by itself, and a concurrent Close.
func TestProgressConcurrently(t *testing.T) {
	s := &screen{}
	p := NewProgress(ProgressOptions{W: s, Mode: ProgressLine, State: runstate.New(400)})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 100 {
				if _, err := fmt.Fprintf(p.Writer(), "%d.%d\n", i, n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 400 {
		p.state.Result(ok(i, ""))
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if got := s.lines(t); strings.Count(got, "\n") != 400 || !strings.HasSuffix(got, "\n") {
		t.Errorf("%d lines, ends in %q", strings.Count(got, "\n"), got[max(len(got)-20, 0):])
	}
}

// Even if no line is shown, messages and remote standard error share one writer.
func TestWriterWithoutALine(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(ProgressOptions{W: &out, State: runstate.New(0)})
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 100 {
				_, _ = io.WriteString(p.Writer(), "a line\n")
			}
		})
	}
	writers.Wait()
	if got := out.String(); got != strings.Repeat("a line\n", 800) {
		t.Errorf("%d bytes, or mixed", len(got))
	}
}

// Without a terminal a line is due at each tick, and a last one of JSON at the end.
func TestProgressInLines(t *testing.T) {
	for _, mode := range []ProgressMode{ProgressLog, ProgressJSON} {
		var out bytes.Buffer
		state, ticks := runstate.New(3), make(chan time.Time)
		begin := time.Now()
		late := begin.Add(time.Minute)
		state.Connecting(&attempt{index: 0, phase: fleet.PhaseAuth, begun: begin})
		state.Connecting(&attempt{index: 1, phase: fleet.PhaseRun, begun: begin.Add(second), last: begin.Add(21 * second)})
		state.Result(ended(2, exit(3), "", ""))
		p := newLines(ProgressOptions{W: &out, Mode: mode, State: state}, ticks)
		ticks <- late
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if mode == ProgressLog {
			const want = "shoal: 1/3, 1 failed, node1 connecting, node2 running, for 1 min 00 s, 1 min 00 s elapsed\n"
			if got := out.String(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			continue
		}
		lines := strings.SplitAfter(out.String(), "\n")
		if len(lines) != 3 {
			t.Fatalf("%q", lines)
		}
		first, err := record.DecodeProgress([]byte(lines[0]))
		if err != nil {
			t.Fatal(err)
		}
		if first.Done != 1 || first.Targets != 3 || first.Outcomes[fleet.OutcomeFailed] != 1 || first.Active["running"] != 1 || first.Final {
			t.Errorf("%+v", first)
		}
		if len(first.Oldest) != 2 || first.Oldest[0].Host != "node1" || first.Oldest[0].Quiet != nil || *first.Oldest[1].Quiet != late.Sub(begin)-21*second {
			t.Errorf("%+v", first.Oldest)
		}
		if last, err := record.DecodeProgress([]byte(lines[1])); err != nil || !last.Final {
			t.Errorf("%+v, %v", last, err)
		}
	}
}

// The list has the oldest first, with phase, age and the age of the last output.
func TestInFlightText(t *testing.T) {
	begin := time.Now()
	now := begin.Add(100 * second)
	s := runstate.New(40)
	for i := range 30 {
		s.Connecting(&attempt{index: i, phase: fleet.PhaseKex, begun: begin.Add(time.Duration(i) * second)})
	}
	s.Connecting(&attempt{index: 30, phase: fleet.PhaseRun, begun: begin.Add(-20 * second), last: now.Add(-3 * second)})
	drained := &attempt{index: 31, phase: fleet.PhaseDrain, begun: begin.Add(-10 * second)}
	s.Connecting(drained)
	s.Ended(drained)
	got := InFlightText(s, now)
	for _, want := range []string{
		"32 in flight, 8 waiting:\n" +
			"  node31  2 min 00 s  running, last output 3 s ago\n" +
			"  node32  1 min 50 s  storing, no output\n" +
			"  node1   1 min 40 s  connecting (kex)\n",
		"  … and 12 younger: 12 connecting\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if got, want := PhasesText(s, now, 20), "30 connecting: node[1-30]; 1 running: node31; 1 storing: node32"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range 5 {
		r := ok(32+i, "")
		r.Took[fleet.PhaseRun] = second
		s.Result(r)
	}
	if got := InFlightText(s, now); !strings.HasPrefix(got, "32 in flight, 3 waiting; the median of those done is 1.0 s:\n  node31  2 min 00 s  running, last output 3 s ago, slow\n") {
		t.Errorf("%s", got)
	}
}

// Of files the line shows bytes, with those to hosts that are being written to, and the time left
// by them.
func TestBytesLine(t *testing.T) {
	t.Parallel()
	f := frame{Snapshot: runstate.Snapshot{Total: 10, Done: 2, Elapsed: 10 * time.Second, Quiet: time.Second, Bytes: 25 << 20, AllBytes: 100 << 20}}
	if got := f.text(); !strings.Contains(got, "25 MiB of 100 MiB, 30 s left") {
		t.Errorf("got %q", got)
	}
}
