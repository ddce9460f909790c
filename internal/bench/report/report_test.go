package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/bench/report/reporttest"
)

const ms = time.Millisecond

// analyse reads each record as a separate file.
func analyse(t *testing.T, records ...[]byte) *Report {
	t.Helper()
	var m Measurements
	for i, record := range records {
		if err := m.Add(string(rune('a'+i))+".jsonl", bytes.NewReader(record)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := m.Analyse()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func strategy(t *testing.T, r *Report, name string) Strategy {
	t.Helper()
	s, ok := r.Strategy(name)
	if !ok {
		t.Fatalf("there is no strategy %s", name)
	}
	return s
}

func line(e *reporttest.Experiment, name string) *reporttest.Line {
	for i := range e.Lines {
		if e.Lines[i].Strategy == name {
			return &e.Lines[i]
		}
	}
	return nil
}

func TestTrendsAndProjectionsOfKnownLines(t *testing.T) {
	r := analyse(t, reporttest.Default(10, 50, 100, 200).Record())
	for _, c := range []struct {
		name           string
		slope, at10000 float64 // seconds
	}{{Serial, 0.121, 1210.002}, {Workers, 0.004, 40.06}, {Concurrent, 0.0011, 11.15}, {Auto, 0.0008, 8.13}} {
		s := strategy(t, r, c.name)
		near(t, c.name+"'s slope", s.Trend.B, c.slope, 0.05*c.slope)
		if s.Trend.R2 < 0.99 || s.Trend.R2 > 1 {
			t.Errorf("%s's R² is %v", c.name, s.Trend.R2)
		}
		p, ok := s.Projection(Target)
		if !ok {
			t.Fatalf("%s has no projection", c.name)
		}
		near(t, c.name+"'s projection", p.Wall.Seconds(), c.at10000, 0.05*c.at10000)
		if p.Low >= p.Wall || p.High <= p.Wall || p.Measured != 0 || p.From != 10 || p.To != 200 {
			t.Errorf("%s's projection is %+v", c.name, p)
		}
		near(t, c.name+"'s runs a day", RunsADay(p.Best()), 86400/p.Wall.Seconds(), 1e-6)
	}
	p, _ := strategy(t, r, Concurrent).Projection(Target)
	near(t, "projected speed-up", p.SpeedUp, 1210/11.15, 5)
}

// The value measured at 10,000 must not be part of its projection.
func TestProjectionUsesSmallerSizesOnly(t *testing.T) {
	e := reporttest.Default(10, 100, 1000, 10000)
	e.Hosts, e.Noise = 1, 0
	line(&e, Concurrent).Spoil = func(p *benchrecord.Point) {
		if p.Size == 10000 {
			p.Wall = 99 * time.Second
		}
	}
	p, _ := strategy(t, analyse(t, e.Record()), Concurrent).Projection(Target)
	near(t, "projection", p.Wall.Seconds(), 11.15, 1e-6)
	if p.Measured != 99*time.Second || p.To != 1000 || p.Best() != p.Measured {
		t.Errorf("the projection is %+v", p)
	}
}

func TestMedianAndSpread(t *testing.T) {
	e := reporttest.Default(10, 20)
	walls := []time.Duration{900 * time.Second, 3 * time.Second, time.Second, 2 * time.Second} // warm-up first
	line(&e, Serial).Spoil = func(p *benchrecord.Point) {
		if p.Warmup {
			p.Wall = walls[0]
			return
		}
		p.Wall = walls[p.Repeat]
	}
	r := analyse(t, e.Record())
	z, _ := strategy(t, r, Serial).At(10)
	want := Spread{N: 3, Median: 2 * time.Second, Min: time.Second, Max: 3 * time.Second}
	if z.Wall != want || z.Runs != 3 || !z.Right {
		t.Errorf("the spread is %+v of %d runs, want %+v", z.Wall, z.Runs, want)
	}
	auto, _ := strategy(t, r, Auto).At(10)
	near(t, "speed-up", auto.SpeedUp, 2/auto.Wall.Median.Seconds(), 1e-9)
	near(t, "CPU per host", auto.CPUPerHost.Seconds(), 450e-6, 1e-9)
	near(t, "cores", auto.CoresUsed, 10*450e-6/auto.Wall.Median.Seconds(), 1e-3)
	if got := spreadOf([]time.Duration{4, 1, 3, 2}).Median; got != 2 {
		t.Errorf("the median of 1, 2, 3, 4 ns is %v", got)
	}
}

func TestWrongAndCutRunsDoNotBendTheTrend(t *testing.T) {
	e := reporttest.Default(10, 50, 100, 200)
	e.Noise = 0
	line(&e, Concurrent).Spoil = func(p *benchrecord.Point) {
		if p.Size != 200 {
			return
		}
		p.Wall = time.Hour
		switch p.Repeat {
		case 1:
			p.Complete, p.Correct = false, 20
		case 2:
			p.Correct, p.Outcomes, p.Reasons = 150, map[string]int{"ok": 150, "never_started": 50}, map[string]int{"throttled": 50}
		case 3:
			p.Wall = 370 * ms
		}
	}
	r := analyse(t, e.Record())
	s := strategy(t, r, Concurrent)
	near(t, "slope", s.Trend.B, 0.0011, 1e-9)
	if s.Trend.Runs != 10 {
		t.Errorf("the trend is of %d runs, want 10", s.Trend.Runs)
	}
	z, _ := s.At(200)
	if z.Right || z.Cut != 1 || z.Correct != 20 || z.Wall.N != 2 || z.Outcomes["never_started"] != 50 || z.Reasons["throttled"] != 50 {
		t.Errorf("the size is %+v", z)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "concurrent at 200 hosts: the time limit cut 1 of 3 runs") {
		t.Errorf("the notes are %q", r.Notes)
	}
}

func TestRoundTripsAreFound(t *testing.T) {
	e := reporttest.Default(10, 50, 100, 200)
	e.Noise = 0
	h := analyse(t, e.Record()).Host
	if h.RoundTrips != 10 || h.RTT != 12*ms || !h.Fitted {
		t.Errorf("one host is %+v, want 10 round trips of 12 ms", h)
	}
	near(t, "rest", h.Rest.Seconds(), 0.001, 1e-6)

	e.Lines = e.Lines[1:] // without serial the phases are used
	h = analyse(t, e.Record()).Host
	if h.RoundTrips != 10 || h.Fitted || h.Rest < ms/2 || h.Rest > 3*ms {
		t.Errorf("without serial one host is %+v", h)
	}

	e.Header.Settings.Fleet = nil
	h = analyse(t, e.Record()).Host
	if h.RTT != 0 || h.RoundTrips != 0 || h.Time() < 120*ms {
		t.Errorf("with unknown latency one host is %+v", h)
	}
}

func TestBounds(t *testing.T) {
	const host, cpu = 100 * ms, ms
	for _, c := range []struct {
		strategy     string
		hosts        int
		latency, cpu time.Duration
		by           string
	}{
		{Serial, 50, 5 * time.Second, 50 * ms, "latency"},
		{Workers, 32, 100 * ms, 16 * ms, "latency"},
		{Workers, 33, 200 * ms, 16500 * time.Microsecond, "latency"},
		{Concurrent, 199, 100 * ms, 99500 * time.Microsecond, "latency"},
		{Concurrent, 201, 100 * ms, 100500 * time.Microsecond, "CPU"},
		{Auto, 10000, 100 * ms, 5 * time.Second, "CPU"},
		{"another", 10000, 100 * ms, 5 * time.Second, "CPU"},
	} {
		b := bounds(c.strategy, c.hosts, 32, 2, host, cpu)
		if (b.Latency-c.latency).Abs() > time.Microsecond || (b.CPU-c.cpu).Abs() > time.Microsecond || b.By() != c.by {
			t.Errorf("%s at %d: %+v by %s, want %+v", c.strategy, c.hosts, b, b.By(), c)
		}
		if b.Model() != max(b.Latency, b.CPU) {
			t.Errorf("the model is %v", b.Model())
		}
	}
	if by := (Bounds{}).By(); by != "" {
		t.Errorf("nothing known bounds by %q", by)
	}
}

func TestPhasesAreOfTheLargestSize(t *testing.T) {
	e := reporttest.Default(10, 100)
	e.Lines = e.Lines[:1]
	line(&e, Serial).Spoil = func(p *benchrecord.Point) {
		for i := range p.Hosts {
			p.Hosts[i].Phases = benchrecord.Phases{fleet.PhaseAuth: time.Duration(i+1) * ms}
			if p.Size == 10 {
				p.Hosts[i].Phases[fleet.PhaseAuth] = time.Hour
			}
		}
	}
	s := strategy(t, analyse(t, e.Record()), Serial)
	want := Phase{Phase: fleet.PhaseAuth, Hosts: 300, P50: 50 * ms, P90: 90 * ms, P99: 99 * ms, Max: 100 * ms}
	if len(s.Phases) != 1 {
		t.Fatalf("the phases are %+v, want one", s.Phases)
	}
	got := s.Phases[0]
	got.Bins = nil // see TestBins
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the phase is not as it should be (-want +got):\n%s", diff)
	}
	if s.SamplesOf.Hosts != 100 || len(s.Samples) != 24 {
		t.Errorf("%d samples are of %d hosts", len(s.Samples), s.SamplesOf.Hosts)
	}
}

func TestFilesAreMerged(t *testing.T) {
	small, large := reporttest.Default(10, 50), reporttest.Default(100, 200)
	large.Header.Started = large.Header.Started.Add(time.Hour)
	large.Header.Machine.Kernel, large.Header.Settings.Repeats = "6.2.0", 5
	r := analyse(t, large.Record(), small.Record())
	s := strategy(t, r, Auto)
	if len(s.Sizes) != 4 || s.Trend.From != 10 || s.Trend.To != 200 || s.Trend.Runs != 2*3+2*5 || len(r.Files) != 2 {
		t.Errorf("merged: %d sizes, %d files, trend %+v", len(s.Sizes), len(r.Files), s.Trend)
	}
}

func TestFilesThatDisagreeAreRefused(t *testing.T) {
	for what, change := range map[string]func(*benchrecord.Header){
		"program":           func(h *benchrecord.Header) { h.Program = "shoal v2" },
		"commit":            func(h *benchrecord.Header) { h.Commit = "fedcba" },
		"Go version":        func(h *benchrecord.Header) { h.Go = "go1.27" },
		"machine":           func(h *benchrecord.Header) { h.Machine.Cores = 64 },
		"command":           func(h *benchrecord.Header) { h.Settings.Command = "true" },
		"expected output":   func(h *benchrecord.Header) { h.Settings.Expect = "" },
		"number of workers": func(h *benchrecord.Header) { h.Settings.Workers = 64 },
		"servers": func(h *benchrecord.Header) {
			h.Settings.Fleet = &benchrecord.FleetSettings{Hosts: 50, Latency: 60 * ms}
		},
	} {
		first, second := reporttest.Default(10, 50), reporttest.Default(10, 50)
		second.Header.Started = second.Header.Started.Add(time.Hour)
		change(&second.Header)
		var m Measurements
		if err := m.Add("a.jsonl", bytes.NewReader(first.Record())); err != nil {
			t.Fatal(err)
		}
		err := m.Add("b.jsonl", bytes.NewReader(second.Record()))
		var disagree *DisagreeError
		if !errors.As(err, &disagree) || !errors.Is(err, ErrDisagree) || disagree.What != what || disagree.First != "a.jsonl" || disagree.Second != "b.jsonl" {
			t.Errorf("another %s gives the error %v", what, err)
		}
	}
}

func TestSameFileTwice(t *testing.T) {
	var m Measurements
	record := reporttest.Default(10, 50).Record()
	if err := m.Add("a.jsonl", bytes.NewReader(record)); err != nil {
		t.Fatal(err)
	}
	err := m.Add("copy.jsonl", bytes.NewReader(record))
	if err == nil || !strings.HasPrefix(err.Error(), "a.jsonl and copy.jsonl are the same bench") {
		t.Errorf("the error is %v", err)
	}
}

func TestBadRecords(t *testing.T) {
	whole := reporttest.Default(10, 50).Record()
	header, _, _ := bytes.Cut(whole, []byte("\n"))
	for name, c := range map[string]struct {
		record string
		want   error
	}{
		"empty":       {"", benchrecord.ErrNoHeader},
		"not a one":   {"{}\n", benchrecord.ErrNoHeader},
		"no points":   {string(header) + "\n", ErrNothing},
		"no strategy": {string(header) + "\n" + `{"type":"point","size":3,"wall_ns":5,"complete":true}` + "\n", nil},
		"no hosts":    {string(header) + "\n" + `{"type":"point","strategy":"serial","wall_ns":5,"complete":true}` + "\n", nil},
		"no time":     {string(header) + "\n" + `{"type":"point","strategy":"serial","size":3,"complete":true}` + "\n", nil},
		"cut only":    {string(header) + "\n" + `{"type":"point","strategy":"serial","size":3,"wall_ns":5}` + "\n", ErrNothing},
	} {
		var m Measurements
		err := m.Add("x.jsonl", strings.NewReader(c.record))
		if err == nil {
			_, err = m.Analyse()
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: the error is %v, want %v", name, err, c.want)
		}
	}
	r := analyse(t, whole[:len(whole)-7])
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "torn") {
		t.Errorf("a torn record has the notes %q", r.Notes)
	}
	if z, _ := strategy(t, r, Auto).At(50); z.Runs != 2 {
		t.Errorf("a torn record has %d runs, want the 2 before the tear", z.Runs)
	}
}
