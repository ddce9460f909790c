package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"
	"pgregory.net/rapid"

	"shoal/fleet"
	"shoal/internal/ui"
)

func TestProgressLine(t *testing.T) {
	full := snapshot{done: 9988, total: 10000, ok: 9976, failed: 3, notStarted: 8, unknown: 1, elapsed: 12300 * time.Millisecond}
	start := snapshot{total: 10000}
	open := snapshot{done: 1234, ok: 1234, elapsed: 10 * time.Second}
	half := snapshot{done: 5, total: 10, ok: 5, elapsed: 100 * time.Second, last: 100 * time.Second}
	// From the issue: nothing but failures yet, all at once and none done, five that are silent, a stop.
	failures := snapshot{done: 9, total: 2000, notStarted: 9, flying: true, connecting: 100, running: 4, elapsed: second, last: second}
	together := snapshot{done: 1, total: 2000, ok: 1, flying: true, running: 1999, elapsed: 3 * second, last: 3 * second}
	silent := snapshot{done: 1990, total: 2000, ok: 1978, failed: 12, flying: true, connecting: 1, running: 9, elapsed: 25 * second, last: 5 * second}
	named := silent
	named.done, named.ok, named.connecting, named.running, named.names = 1995, 1983, 2, 3, "web[01-05]"
	stopped := snapshot{done: 1000, total: 2000, ok: 1000, flying: true, running: 500, elapsed: 10 * second, last: 10 * second, stopping: true}
	narrow := snapshot{done: 30, total: 2000, ok: 11, failed: 2, notStarted: 17, flying: true, connecting: 300, running: 1650, elapsed: second, last: second}
	steady := snapshot{done: 1000, total: 2000, ok: 1000, flying: true, connecting: 20, running: 80, elapsed: 10 * second, last: 10 * second}
	staged := snapshot{done: 1, total: 5, ok: 1, flying: true, running: 2, elapsed: second, last: second, stage: "stage 2 of 3, 2 hosts"}
	paused := snapshot{done: 1, total: 5, ok: 1, flying: true, elapsed: second, last: second, stage: "stage 1 of 3 ended", pause: 1500 * time.Millisecond}
	for _, c := range []struct {
		s       snapshot
		columns int
		want    string
	}{
		{full, 120, "9,988/10,000  [=========================== ]  99%  9,976 ok  3 failed  8 never started  1 unknown  812/s"},
		{full, 79, "9,988/10,000  99%  9,976 ok  3 failed  8 never started  1 unknown  812/s"},
		{full, 70, "9,988/10,000  9,976 ok  3 failed  8 never started  1 unknown  812/s"},
		{full, 60, "9,988/10,000  9,976 ok  3 failed  8 never started  1 unknown"},
		{full, 40, "9,988/10,000  9,976 ok  3 failed"},
		{full, 29, "9,988/10,000  9,976 ok"},
		{full, 19, "9,988/10,000"},
		{full, 8, "9,988/1…"},
		{full, 0, ""},
		{start, 79, "0/10,000  [                            ]  0%  0 ok"},
		{open, 79, "1,234 done  1,234 ok  123/s"},
		{half, 79, "5/10  [==============              ]  50%  5 ok  0.1/s  1 min 40 s left"},
		{snapshot{done: 5, total: 10, detached: 5}, 30, "5/10  50%  5 detached"},
		{failures, 120, "9/2,000  [                            ]  0%  9 never started  100 connecting  4 running  1,887 waiting  9.0/s"},
		{failures, 39, "9/2,000  9 never started  1,887 waiting"},
		{together, 79, "1/2,000  [                            ]  0%  1 ok  1,999 running  0.3/s"},
		{silent, 79, "1,990/2,000  99%  1,978 ok  12 failed  1 connecting  9 running  80/s"},
		{named, 79, "1,995/2,000  1,983 ok  12 failed  2 connecting  3 running  web[01-05]"},
		{named, 39, "1,995/2,000  1,983 ok  12 failed"},
		{stopped, 79, "1,000/2,000  50%  stopping  1,000 ok  500 running  500 waiting  100/s"},
		{narrow, 79, "30/2,000  2 failed  17 never started  300 connecting  1,650 running  20 waiting"},
		{narrow, 39, "30/2,000  2 failed  17 never started"},
		{steady, 79, "1,000/2,000  1,000 ok  20 connecting  80 running  900 waiting  100/s  10 s left"},
		{steady, 110, "1,000/2,000  [===========           ]  50%  1,000 ok  20 connecting  80 running  900 waiting  100/s  10 s left"},
		{staged, 79, "1/5  [=        ]  20%  stage 2 of 3, 2 hosts  1 ok  2 running  2 waiting  1.0/s"},
		{paused, 79, "1/5  [==        ]  20%  stage 1 of 3 ended  next in 2 s  1 ok  4 waiting  1.0/s"},
		{half, 45, "5/10  50%  5 ok  0.1/s  1 min 40 s left"},
	} {
		if got := c.s.line(c.columns); got != c.want {
			t.Errorf("%d columns:\n got %q\nwant %q", c.columns, got, c.want)
		}
	}
}

func TestProgressLineNeverWraps(t *testing.T) {
	n := rapid.Int64Range(0, 1<<40)
	rapid.Check(t, func(t *rapid.T) {
		s := snapshot{
			done: n.Draw(t, "done"), total: n.Draw(t, "total"), ok: n.Draw(t, "ok"), failed: n.Draw(t, "failed"),
			notStarted: n.Draw(t, "not started"), unknown: n.Draw(t, "unknown"), detached: n.Draw(t, "detached"),
			elapsed: time.Duration(n.Draw(t, "elapsed")), last: time.Duration(n.Draw(t, "last")),
			flying: rapid.Bool().Draw(t, "flying"), connecting: n.Draw(t, "connecting"), running: n.Draw(t, "running"),
			names: rapid.SampledFrom([]string{"", "web[01-03]", "münchen-überall"}).Draw(t, "names"),
			stage: rapid.SampledFrom([]string{"", "stage 2 of 3, 2 hosts"}).Draw(t, "stage"), stopping: rapid.Bool().Draw(t, "stopping"),
		}
		columns := rapid.IntRange(-1, 200).Draw(t, "columns")
		if line := s.line(columns); ui.Width(line) > max(columns, 0) {
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
	p = newProgress(c, ProgressOptions{Total: total}, mpb.WithConsoleWriter(drawn{c, frames}), mpb.WithManualRefresh(refresh))
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
	both := Multi(p, live)
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

// The line says how far the targets have come, and names them when few are left.
func TestProgressOfWhatIsInFlight(t *testing.T) {
	s := &screen{}
	p, draw := shown(s, 80, 3)
	for i := range 3 {
		p.Connecting(target(i))
	}
	p.Running(target(2))
	p.Stage("stage 1 of 2, 3 hosts", 0)
	draw()
	if got := s.lines(t); got != "0/3  [             ]  stage 1 of 2, 3 hosts  2 connecting  1 running  node[1-3]" {
		t.Errorf("%q", got)
	}
	p.Ended(target(0)) // another attempt follows
	p.Stage("", 0)
	p.Stopping()
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
		{func() error { err := p.Result(ok(0, "")); draw(); return err }, "stopped\n"},
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
	p := NewProgress(ProgressOptions{W: &b, Total: 2})
	if err := p.Result(ok(0, "")); err != nil {
		t.Error(err)
	}
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
	p := NewProgress(ProgressOptions{W: s, Show: true, Total: 400})
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
		if err := p.Result(ok(i, "")); err != nil {
			t.Error(err)
		}
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
	p := NewProgress(ProgressOptions{W: &out})
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

// Of files the line shows bytes, with those to hosts that are being written to, and the time left
// by them.
func TestBytesLine(t *testing.T) {
	t.Parallel()
	s := snapshot{done: 2, total: 10, ok: 2, elapsed: 10 * time.Second, last: time.Second, bytes: 25 << 20, allBytes: 100 << 20}
	if got := s.line(200); !strings.HasSuffix(got, "2 ok  25 MiB of 100 MiB  30 s left") {
		t.Errorf("got %q", got)
	}
}
