package output

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/mask"
)

func gatherable() []fleet.Result {
	results := everyEnd()
	for i := 20; i < 30; i++ {
		results = append(results, ok(i, "Linux 6.1.0\n"))
	}
	return append(results,
		ok(30, "Linux 6.1.0"), // no newline at the end: different content
		ok(31, "Linux 5.10.0\n"),
		ok(32, ""), ok(33, ""),
		ended(34, exit(1), "", ""),
		ended(35, neverStarted(fleet.ReasonDialTimeout, fleet.PhaseDial, "no answer from 192.0.2.36:22 in 10 s"), "", ""),
		ok(36, hostile),
		ended(38, exit(3), "so far\n", "another complaint\n"),
		ok(37, "---------------\nnode1\n---------------\nforged\n"),
	)
}

func TestGatheredGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		escape bool
		apart  bool
	}{{"gathered", true, false}, {"gathered-apart", true, true}, {"gathered-raw", false, false}} {
		var stdout, stderr bytes.Buffer
		g := NewGathered(GatheredOptions{Stdout: Out{W: &stdout, Escape: c.escape}, Stderr: Out{W: &stderr, Escape: c.escape}, Apart: c.apart})
		for _, r := range gatherable() {
			if err := g.Result(r); err != nil {
				t.Fatal(err)
			}
		}
		if stdout.Len()+stderr.Len() > 0 {
			t.Error("printed before Close")
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		golden(t, c.name+".out", stdout.Bytes())
		golden(t, c.name+".err", stderr.Bytes())
	}
}

func TestGatheredClosedPipe(t *testing.T) {
	g := NewGathered(GatheredOptions{Stdout: Out{W: &failing{after: 60, err: syscall.EPIPE}}})
	for i, text := range []string{"a\n", "b\n", "c\n"} {
		if err := g.Result(ok(i, text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(); !errors.Is(err, syscall.EPIPE) || err.Error() != "writing to stdout: broken pipe" {
		t.Errorf("%v", err)
	}
}

// minority is a fleet in which most hosts answer alike, but for the time.
func minority(n int) []fleet.Result {
	var results []fleet.Result
	for i := range n {
		at := fmt.Sprintf("12:00:%02d", i%60)
		switch {
		case i%100 == 7:
			results = append(results, ended(i, neverStarted(fleet.ReasonDialTimeout, fleet.PhaseDial, "no answer"), "", ""))
		case i%10 == 3:
			results = append(results, ok(i, "kernel 5.10\nup since "+at+"\nload 1\n"))
		case i%100 == 5:
			results = append(results, ended(i, exit(2), "kernel 6.1\nup since "+at+"\nload 1\n", "df: no such disk\n"))
		default:
			results = append(results, ok(i, "kernel 6.1\nup since "+at+"\nload 1\n"))
		}
	}
	return results
}

func gather(t *testing.T, o GatheredOptions, results []fleet.Result) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	o.Stdout.W, o.Stderr.W = &out, &errs
	g := NewGathered(o)
	for _, r := range results {
		if err := g.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String()
}

// The views of groups, with masks: as blocks, one line each, and as diffs.
func TestGatheredViewsGolden(t *testing.T) {
	masked := groups.Options{Masker: mask.New(mask.All), Auto: true}
	hostileResults := append(minority(20), ok(20, hostile), ok(21, "---------------\n-- x\n++ y\n"))
	for name, c := range map[string]struct {
		GatheredOptions
		results []fleet.Result
	}{
		"masked":         {GatheredOptions{Groups: masked}, minority(200)},
		"masked-apart":   {GatheredOptions{Groups: masked, Apart: true}, minority(200)},
		"groups":         {GatheredOptions{Groups: masked, View: OneLine}, minority(200)},
		"groups-hostile": {GatheredOptions{Groups: masked, View: OneLine}, hostileResults},
		"diff":           {GatheredOptions{Groups: masked, View: Diffs, Max: 5, Targets: 210}, minority(200)},
		"diff-to":        {GatheredOptions{Groups: masked, View: Diffs, Max: 5, Reference: "node4"}, minority(200)},
		"diff-hostile":   {GatheredOptions{Groups: masked, View: Diffs}, hostileResults},
		"lines":          {GatheredOptions{View: Diffs, Max: 5}, minority(100)},
		"lines-masked":   {GatheredOptions{Groups: masked, View: Diffs, Max: 2}, minority(100)},
		"lines-hostile":  {GatheredOptions{View: Diffs, Max: 2}, hostileResults},
		"part":           {GatheredOptions{Groups: groups.Options{Part: groups.ByField(2)}}, minority(100)},
		"rest":           {GatheredOptions{Max: 1, Rest: "shoal show last -b | less", Groups: masked}, minority(100)},
	} {
		terminal := Out{Escape: true, Colour: name == "diff", Columns: func() int { return 80 }}
		o := c.GatheredOptions
		o.Stdout, o.Stderr = terminal, terminal
		stdout, stderr := gather(t, o, c.results)
		golden(t, "view-"+name+".out", []byte(stdout))
		golden(t, "view-"+name+".err", []byte(stderr))
	}
}

// The share of the reference counts hosts that gave no answer, also those without a result.
func TestReferenceShare(t *testing.T) {
	o := GatheredOptions{View: Diffs, Max: 5, Targets: 10}
	results := []fleet.Result{ok(0, "a\n"), ok(1, "a\n"), ok(2, "b\n"), ended(3, fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted}, "", "")}
	if stdout, _ := gather(t, o, results); !strings.HasPrefix(stdout, "reference: 2 of 10; 7 without an answer\n") {
		t.Error(stdout)
	}
	o.Targets = 0
	if stdout, _ := gather(t, o, results[:3]); !strings.HasPrefix(stdout, "reference: 2 of 3\n") {
		t.Error(stdout)
	}
	o.Reference = "node4"
	if stdout, stderr := gather(t, o, results); !strings.HasPrefix(stdout, "reference: 2 of 4; 1 without an answer\n") ||
		stderr != "shoal: node4 gave no answer; the reference is the largest group\n" {
		t.Error(stdout, stderr)
	}
	if stdout, _ := gather(t, o, results[3:]); stdout != "" {
		t.Error(stdout)
	}
}

// 1,000 hosts with 900 answers are shown line by line: each line once, each variant with its
// hosts, and a cut says how to see the rest.
func TestManyVariants(t *testing.T) {
	var results []fleet.Result
	for i := range 1000 {
		results = append(results, ok(i, fmt.Sprintf("os 12\nid %d\nsize %d\nend\n", max(i-100, 0), i%2)))
	}
	o := GatheredOptions{View: Diffs, Max: 50}
	stdout, _ := gather(t, o, results)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 1+1+900+2+1 || strings.Count(stdout, "os 12") != 1 || !strings.Contains(stdout, "  101 node[1-101]: id 0\n") ||
		!strings.Contains(stdout, "    1 node1000: id 899\n") {
		t.Errorf("%d lines: %.1000s", len(lines), stdout)
	}
	o.Rest = "shoal show last -b --diff | less"
	stdout, _ = gather(t, o, results)
	if !strings.Contains(stdout, "… 850 variants more, of 850 hosts; shoal show last -b --diff | less shows them\n") {
		t.Errorf("%.5000s", stdout)
	}
}

// A long diff is cut where a command shows the rest, and only there.
func TestLongDiff(t *testing.T) {
	results := []fleet.Result{ok(0, "x\n"), ok(1, "x\n"), ok(2, strings.Repeat("y\n", 500))}
	o := GatheredOptions{View: Diffs, Max: 50}
	if stdout, _ := gather(t, o, results); strings.Count(stdout, "\n+y") != 500 {
		t.Errorf("%.2000s", stdout)
	}
	o.Rest = "CMD"
	if stdout, _ := gather(t, o, results); strings.Count(stdout, "\n+y") != maxDiffLines-1 || !strings.HasSuffix(stdout, "… 401 lines more; CMD shows them\n") {
		t.Errorf("%.2000s", stdout)
	}
}

func BenchmarkGathered(b *testing.B) {
	g := NewGathered(GatheredOptions{})
	r := ok(0, strings.Repeat("hello world\n", 10))
	b.ReportAllocs()
	for b.Loop() {
		_ = g.Result(r)
	}
}
