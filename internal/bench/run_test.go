package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// A stub replaces the network: every command takes a second of the test's
// synthetic time and prints its own text.
type stub struct{ open, most atomic.Int64 }

func (s *stub) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	a.Timeline.Enter(fleet.PhaseDial)
	now := s.open.Add(1)
	for {
		most := s.most.Load()
		if now <= most || s.most.CompareAndSwap(most, now) {
			return stubConn{stub: s, attempt: a}, nil
		}
	}
}

type stubConn struct {
	ssh.Conn // nil: nothing asks for a second command
	stub     *stub
	attempt  *ssh.Attempt
}

func (c stubConn) Start(ctx context.Context, done func(fleet.End)) {
	c.attempt.Timeline.Enter(fleet.PhaseRun)
	go func() {
		end := fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseRun}
		select {
		case <-time.After(time.Second):
			_, _ = fmt.Fprintln(c.attempt.Stdout, strings.TrimPrefix(c.attempt.Target.Command, "echo "))
		case <-ctx.Done():
			end = fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonInterrupted, Phase: fleet.PhaseRun}
		}
		c.stub.open.Add(-1)
		done(end)
	}()
}

func (stubConn) Close() error { return nil }

func stubOptions(s *stub) Options {
	const text = "echo hello {index}"
	return Options{
		Connect: connect.Options{User: "u", Engine: engine.Options{Dialer: s}},
		Targets: Cycle([]fleet.Host{{Name: "a"}, {Name: "b"}, {Name: "c"}}),
		Command: text, Expect: Expected(text), Strategies: benchrecord.Strategies(),
	}
}

// collect measures everything and fails the test on an error.
func collect(t *testing.T, o Options) []benchrecord.Point {
	t.Helper()
	var points []benchrecord.Point
	for p, err := range Run(t.Context(), o) {
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, p)
	}
	return points
}

// The strategies differ in the number of targets in flight, which shows in
// their times.
func TestStrategies(t *testing.T) {
	for _, c := range []struct {
		strategy benchrecord.Strategy
		most     int64
		wall     time.Duration
	}{
		{benchrecord.Serial, 1, 12 * time.Second},
		{benchrecord.Workers, 5, 3 * time.Second},
		{benchrecord.Concurrent, 12, time.Second},
		{benchrecord.Auto, 12, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := new(stub)
			o := stubOptions(s)
			o.Strategies, o.Sizes, o.Workers = []benchrecord.Strategy{c.strategy}, []int{12}, 5
			points := collect(t, o)
			if len(points) != 1 {
				t.Fatalf("%s: %d points", c.strategy, len(points))
			}
			p := points[0]
			if s.most.Load() != c.most || p.Wall != c.wall || p.Correct != 12 || !p.Complete {
				t.Errorf("%s: %d at once for %v, %d correct, complete %v; want %d for %v",
					c.strategy, s.most.Load(), p.Wall, p.Correct, p.Complete, c.most, c.wall)
			}
		})
	}
}

func TestPointTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := stubOptions(new(stub))
		o.Strategies, o.Sizes = []benchrecord.Strategy{benchrecord.Serial}, []int{2}
		results := 0
		o.Result = func(fleet.Result) { results++ }
		begun := time.Now()
		points := collect(t, o)
		if len(points) != 1 || results != 2 {
			t.Fatalf("%d points, %d results told", len(points), results)
		}
		got := points[0]
		if got.PeakRSS == 0 || len(got.Samples) < 10 {
			t.Errorf("peak %d, %d samples", got.PeakRSS, len(got.Samples))
		}
		got.PeakRSS, got.PeakCumulative, got.CPUUser, got.CPUSystem, got.Samples = 0, false, 0, 0, nil
		want := benchrecord.Point{
			Strategy: "serial", Size: 2, Repeat: 1, Started: begun, Wall: 2 * time.Second,
			Outcomes: map[string]int{"ok": 2}, Correct: 2, Complete: true,
			Hosts: []benchrecord.HostTimes{
				{Index: 0, Outcome: "ok", Phases: benchrecord.Phases{fleet.PhaseRun: time.Second}},
				{Index: 1, Outcome: "ok", Phases: benchrecord.Phases{fleet.PhaseRun: time.Second}},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLimitCutsAndSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := stubOptions(new(stub))
		o.Strategies, o.Sizes, o.Repeats = []benchrecord.Strategy{benchrecord.Serial, benchrecord.Auto}, []int{2, 4, 8}, 2
		o.Limit = 3500 * time.Millisecond
		var steps, notices []string
		o.Step = func(p Progress) {
			steps = append(steps, fmt.Sprintf("%d/%d %s %d", p.Number, p.Of, p.Strategy, p.Size))
		}
		o.Notice = func(text string) { notices = append(notices, text) }
		var got []string
		for _, p := range collect(t, o) {
			got = append(got, fmt.Sprintf("%s %d #%d: %v, %d correct of %v, complete %v",
				p.Strategy, p.Size, p.Repeat, p.Wall, p.Correct, p.Outcomes, p.Complete))
		}
		want := []string{
			"serial 2 #1: 2s, 2 correct of map[ok:2], complete true",
			"auto 2 #1: 1s, 2 correct of map[ok:2], complete true",
			"serial 4 #1: 3.5s, 3 correct of map[ok:3 unknown:1], complete false",
			"auto 4 #1: 1s, 4 correct of map[ok:4], complete true",
			"auto 8 #1: 1s, 8 correct of map[ok:8], complete true",
			"auto 2 #2: 1s, 2 correct of map[ok:2], complete true",
			"serial 2 #2: 2s, 2 correct of map[ok:2], complete true",
			"auto 4 #2: 1s, 4 correct of map[ok:4], complete true",
			"auto 8 #2: 1s, 8 correct of map[ok:8], complete true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		wantSteps := []string{
			"1/12 serial 2", "2/12 auto 2", "3/12 serial 4", "4/9 auto 4", "5/9 auto 8",
			"6/9 auto 2", "7/9 serial 2", "8/9 auto 4", "9/9 auto 8",
		}
		if diff := cmp.Diff(wantSteps, steps); diff != "" {
			t.Error(diff)
		}
		wantNotices := []string{"serial at 4 targets was cut after 3.5s: 3 points of it from that size on are not run"}
		if diff := cmp.Diff(wantNotices, notices); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSerialIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := stubOptions(new(stub))
		o.Strategies, o.Sizes, o.SerialMax = []benchrecord.Strategy{benchrecord.Serial, benchrecord.Auto}, []int{2, 3, 4}, 2
		var notices []string
		o.Notice = func(text string) { notices = append(notices, text) }
		var got []string
		for _, p := range collect(t, o) {
			got = append(got, fmt.Sprint(p.Strategy, p.Size))
		}
		if diff := cmp.Diff([]string{"serial2", "auto2", "auto3", "auto4"}, got); diff != "" {
			t.Error(diff)
		}
		want := []string{"serial is not run at [3 4] targets: it is bounded to 2, and larger sizes are projected from what was measured"}
		if diff := cmp.Diff(want, notices); diff != "" {
			t.Error(diff)
		}
	})
}

// A cancellation from outside is an error, and yields no point.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errStop := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		o := stubOptions(new(stub))
		o.Strategies, o.Sizes, o.Repeats = []benchrecord.Strategy{benchrecord.Auto}, []int{4}, 3
		o.Step = func(p Progress) {
			if p.Repeat == 2 {
				time.AfterFunc(500*time.Millisecond, func() { cancel(errStop) })
			}
		}
		var points int
		var failed error
		for p, err := range Run(ctx, o) {
			if err != nil {
				failed = err
				continue
			}
			points++
			if p.Repeat != 1 {
				t.Errorf("a point of repeat %d", p.Repeat)
			}
		}
		if points != 1 || !errors.Is(failed, errStop) {
			t.Errorf("%d points, then %v", points, failed)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"no targets":   func(o *Options) { o.Targets = nil },
		"no sizes":     func(o *Options) { o.Sizes = nil },
		"size 0":       func(o *Options) { o.Sizes = []int{1, 0} },
		"no strategy":  func(o *Options) { o.Strategies = nil },
		"bad strategy": func(o *Options) { o.Strategies = []benchrecord.Strategy{"fast"} },
		"repeats":      func(o *Options) { o.Repeats = -1 },
		"limit":        func(o *Options) { o.Limit = -1 },
		"command":      func(o *Options) { o.Command = "echo {hsot|sh}" },
		"expectation":  func(o *Options) { o.Expect = "{hsot|sh}" },
		"connection":   func(o *Options) { o.Connect.Timeouts.Kex = -1 },
	} {
		o := stubOptions(new(stub))
		o.Sizes = []int{1}
		spoil(&o)
		n := 0
		for _, err := range Run(t.Context(), o) {
			n++
			if err == nil {
				t.Errorf("%s: was taken", name)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d times round", name, n)
		}
	}
}

// TestOnFleet measures real connections to a fleet in this process.
func TestOnFleet(t *testing.T) {
	fl, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 8, Seed: t.Name(), Fault: func(i int) simfleet.Fault {
		if i == 7 {
			return simfleet.FaultExecRefused
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fl.Close() }()
	dir := t.TempDir()
	key, known := filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")
	for path, write := range map[string]func(*bytes.Buffer) error{
		key:   func(b *bytes.Buffer) error { return fl.WriteKey(b) },
		known: func(b *bytes.Buffer) error { return fl.WriteKnownHosts(b) },
	} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = "echo hello world {index}"
	var hosts []fleet.Host
	for i := range 8 {
		hosts = append(hosts, fl.Host(i))
	}
	points := collect(t, Options{
		Connect: connect.Options{User: "u", Identities: []string{key}, KnownHosts: []string{known}, Agent: connect.NoAgent},
		Targets: Cycle(hosts), Command: text, Expect: Expected(text),
		Sizes: []int{7, 8}, Strategies: benchrecord.Strategies(),
	})
	if len(points) != 8 {
		t.Fatalf("%d points", len(points))
	}
	for _, p := range points {
		want := map[string]int{"ok": 7}
		if p.Size == 8 {
			want["refused"] = 1
			if p.Reasons["exec_refused"] != 1 {
				t.Errorf("%s: reasons %v", p.Strategy, p.Reasons)
			}
		}
		if diff := cmp.Diff(want, p.Outcomes); diff != "" || p.Correct != 7 || !p.Complete {
			t.Errorf("%s at %d: %d correct, complete %v: %s", p.Strategy, p.Size, p.Correct, p.Complete, diff)
		}
		for _, h := range p.Hosts {
			if h.Outcome == "ok" && (h.Phases[fleet.PhaseKex] == 0 || h.Phases[fleet.PhaseAuth] == 0) {
				t.Errorf("%s: host %d has phases %v", p.Strategy, h.Index, h.Phases)
			}
		}
	}
}
