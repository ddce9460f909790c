package benchcli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/internal/bench"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/cli/console"
)

func benchPoint(strategy string, size, repeat int, wall time.Duration) benchrecord.Point {
	return benchrecord.Point{
		Strategy: strategy, Size: size, Repeat: repeat, Wall: wall,
		CPUUser: wall / 10, CPUSystem: wall / 10, PeakRSS: 10 << 20, Correct: size, Complete: true,
	}
}

func TestBenchTable(t *testing.T) {
	warm := benchPoint("auto", 10, 1, time.Hour)
	warm.Warmup = true
	turned := benchPoint("concurrent", 1000, 2, 2*time.Second)
	turned.Correct = 500
	cut := benchPoint("serial", 1000, 1, time.Minute)
	cut.Correct, cut.Complete = 7, false
	got := benchTable([]benchrecord.Point{
		warm,
		benchPoint("serial", 10, 1, time.Second),
		benchPoint("concurrent", 10, 1, 100*time.Millisecond),
		cut,
		benchPoint("concurrent", 1000, 1, time.Second),
		benchPoint("serial", 10, 2, 4*time.Second),
		benchPoint("serial", 10, 3, 2*time.Second),
		turned,
	}, "correct")
	want := `
strategy    targets    wall  hosts/s  CPU ms/host  peak MiB    correct
serial           10   2.0 s        5        40.00        10      10/10
serial        1,000       -        -            -         -    7/1,000  1 of 1 cut by the time limit
concurrent       10  0.10 s      100         2.00        10      10/10
concurrent    1,000   1.5 s      625         0.30        10  500/1,000
`
	if diff := cmp.Diff(want, "\n"+got); diff != "" {
		t.Error(diff)
	}
	if got := benchTable([]benchrecord.Point{warm}, "ok"); got != "strategy  targets  wall  hosts/s  CPU ms/host  peak MiB  ok\n" {
		t.Errorf("warm-up alone: %q", got)
	}
}

func TestBenchProgressTexts(t *testing.T) {
	step := bench.Step{Strategy: benchrecord.Auto, Size: 1000, Repeat: 1}
	now := bench.Progress{Step: step, Number: 3, Of: 12, Left: 90 * time.Second, Known: true}
	unsure, blank := now, now
	unsure.Known = false
	blank.Known, blank.Left = false, 0
	for _, c := range []struct{ got, want string }{
		{benchLine(bench.Progress{}, 0, 0), ""},
		{benchLine(now, 1234, 25*time.Second), "3/12  auto, 1,234 of 1,000 targets  about 1 min 05 s left"},
		{benchLine(now, 0, 2*time.Minute), "3/12  auto, 0 of 1,000 targets  about 0.00 s left"},
		{benchLeft(unsure, 25*time.Second), "more than 1 min 05 s left"},
		{benchLeft(blank, 0), "time left not known yet"},
		{
			pointLine(now, benchPoint("auto", 1000, 1, 25*time.Second), "correct"),
			"3/12 auto, 1,000 targets: 25.0 s, 1,000 of 1,000 correct; about 1 min 05 s left",
		},
		{
			pointLine(blank, benchrecord.Point{Strategy: "auto", Size: 9, Wall: 5 * time.Millisecond, Warmup: true}, "ok"),
			"3/12 auto, 9 targets: 5.0 ms, 0 of 9 ok, cut by the time limit, warm-up; time left not known yet",
		},
	} {
		if c.got != c.want {
			t.Errorf("got  %q\nwant %q", c.got, c.want)
		}
	}
}

func TestBenchProgressWithoutATerminal(t *testing.T) {
	for how, want := range map[string]string{
		progressAuto:  "shoal: hello\n1/1 auto, 2 targets: 1.0 s, 2 of 2 correct\n",
		progressLines: "shoal: hello\n1/1 auto, 2 targets: 1.0 s, 2 of 2 correct\n",
		progressNever: "shoal: hello\n",
	} {
		var out bytes.Buffer
		p := newBenchProgress(&out, how, "correct")
		p.notice("hello")
		p.step(bench.Progress{Number: 1, Of: 1, Known: true})
		p.point(benchPoint("auto", 2, 1, time.Second))
		p.close()
		if out.String() != want {
			t.Errorf("%s: %q", how, out.String())
		}
	}
}

// What cannot be measured is rejected before anything is started.
func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--sizes 0", "sizes [0]"},
		{"--sizes 5 --strategies fast", `unknown strategy "fast": there are serial, workers, concurrent, auto`},
		{"--repeats -1", "cannot be negative"},
		{"--latency -1s", "cannot be negative"},
		{"--max-startups 0", "is not a positive number"},
		{"-w a --latency 5ms", "--latency does not go with these targets"},
		{"--hostfile f --one-host", "--one-host does not go with these targets"},
		{"--user me", "--user does not go with these targets"},
		{"-x a", "--exclude does not go with these targets"},
		{"echo {hsot|sh}", "hsot"},
		{"--expect {hsot|sh} hostname", "reading the expected output"},
		{"-w a[", "reading the hosts"},
		{"--limit soon", `"soon" is not a time`},
	} {
		var out, errs bytes.Buffer
		t.Chdir(t.TempDir())
		code := Main(context.Background(), append([]string{"run"}, strings.Fields(c.args)...),
			console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code != console.ExitUsage || !strings.Contains(errs.String(), c.says) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, standard error %q, standard output %q", c.args, code, errs.String(), out.String())
		}
	}
}

func TestStrategiesAreOffered(t *testing.T) {
	var out bytes.Buffer
	code := Main(t.Context(), []string{"__complete", "run", "--strategies", "auto,"}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: io.Discard})
	if code != 0 || !strings.Contains(out.String(), "auto,workers\n") || strings.Contains(out.String(), "auto,auto\n") {
		t.Errorf("exit code %d:\n%s", code, out.String())
	}
}
