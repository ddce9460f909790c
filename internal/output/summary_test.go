package output

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/ui"
	"shoal/record"
)

func summaryOf(results ...fleet.Result) *record.Summary {
	s := &record.Summary{}
	for _, r := range results {
		s.Add(r)
	}
	return s
}

// issueSummary is the example of the issue.
func issueSummary() *record.Summary {
	var s record.Summary
	throttled := neverStarted(fleet.ReasonThrottled, fleet.PhaseBanner, "x")
	black := neverStarted(fleet.ReasonDialTimeout, fleet.PhaseDial, "x")
	ends := map[int]fleet.End{0: exit(1), 20: exit(1), 21: exit(127), 10: black, 11: black, 2: throttled}
	for i := range 6 {
		ends[1006+i] = throttled
	}
	for i := range 10000 {
		e, bad := ends[i]
		if !bad {
			e = fleet.End{Outcome: fleet.OutcomeOK}
		}
		s.Add(fleet.Result{Target: target(i), End: e})
	}
	s.Elapsed = 12345 * second / 1000
	return &s
}

func TestSummaryText(t *testing.T) {
	plain := summaryOf(ok(0, ""), ok(1, ""))
	plain.Elapsed = 410 * second / 1000
	stopped := summaryOf(ok(0, ""), ended(1, fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted}, "", ""))
	stopped.Interrupted = true
	timedOut := fleet.End{Outcome: fleet.OutcomeSignalled, Signal: "ALRM", Reason: fleet.ReasonRemoteTimeout}
	letGo := summaryOf(ended(0, fleet.End{Outcome: fleet.OutcomeDetached}, "", ""), ended(1, timedOut, "", ""))
	held := new(record.Summary)
	for i, c := range []fleet.Connection{{Held: true, Age: second}, {Why: fleet.DialSettings}, {Why: fleet.DialSettings}} {
		r := ok(i, "")
		r.Connection = &c
		held.Add(r)
	}
	lossy := summaryOf(everyEnd()[8:10]...)
	lossy.Elapsed = second
	odd := summaryOf(ended(0, fleet.End{Outcome: fleet.OutcomeSignalled, Signal: "\x1b[2J" + strings.Repeat("A", 100)}, "", ""),
		ended(1, fleet.End{Outcome: fleet.OutcomeUnknown}, "", ""))
	for _, c := range []struct {
		name    string
		s       *record.Summary
		columns int
		want    string
	}{
		{"nothing", &record.Summary{}, 80, "no targets\n"},
		{"all ok", plain, 80, "2 ok in 0.41 s\n"},
		{"all ok, narrow", plain, 5, "2 ok in 0.41 s\n"},
		{"interrupted", stopped, 80, "interrupted: 1 ok, 1 cancelled (interrupted: node2)\n"},
		{"held", held, 80, "3 ok; 1 held, 2 dialled: settings differ\n"},
		{"detached", letGo, 80, "1 signalled (remote_timeout: node2), 1 detached\n"},
		{"lossy", lossy, 80, "2 ok in 1.0 s; 1 with output truncated; 1 with output incomplete\n"},
		{"hostile", odd, 80, "1 signalled, 1 unknown\n" +
			"  1 signalled, signal \\x1b[2JAAAAAAAAAAAA…: node1\n" +
			"  1 unknown, no reason given: node2\n"},
		{"one line", issueSummary(), 200, "9,988 ok, 3 failed (2 exit status 1: node[1,21], 1 exit status 127: node22), " +
			"9 never started (7 throttled: node[3,1007-1012], 2 dial_timeout: node[11-12]) in 12.3 s\n"},
		{"80 columns", issueSummary(), 80, "9,988 ok, 3 failed, 9 never started in 12.3 s\n" +
			"  2 failed, exit status 1: node[1,21]\n" +
			"  1 failed, exit status 127: node22\n" +
			"  7 never started, throttled: node[3,1007-1012]\n" +
			"  2 never started, dial_timeout: node[11-12]\n"},
		{"30 columns", issueSummary(), 30, "9,988 ok, 3 failed, 9 never started in 12.3 s\n" +
			"  2 failed, exit status 1:\n    node[1,21]\n" +
			"  1 failed, exit status 127:\n    node22\n" +
			"  7 never started, throttled:\n    node[3,1007-1012]\n" +
			"  2 never started, dial_timeout:\n    node[11-12]\n"},
	} {
		if got := SummaryText(c.s, c.columns, false); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestSummaryTextInColour(t *testing.T) {
	s := summaryOf(ok(0, ""), ended(1, exit(1), "", ""), ended(2, fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted}, "", ""))
	want := "1 ok, \x1b[31m1 failed\x1b[0m (exit status 1: node2), \x1b[33m1 cancelled\x1b[0m (interrupted: node3)\n"
	if got := SummaryText(s, 80, true); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSummaryTextManyCauses(t *testing.T) {
	var s record.Summary
	for i := range 2000 {
		s.Add(ended(i, exit(uint32(min(i%50, 30))), "", ""))
	}
	text := SummaryText(&s, 80, false)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 1+maxCauseLines || lines[maxCauseLines] != "  800 … and 20 causes more" {
		t.Errorf("%d lines:\n%s", len(lines), text)
	}
	if want := "  800 failed, exit status 30: node[31-50,81-100,131-150,181-2…"; !strings.HasPrefix(lines[1], want[:40]) ||
		!strings.HasSuffix(lines[1], " more") || ui.Width(lines[1]) > 80 {
		t.Errorf("%q", lines[1])
	}
}

// What is not a terminal gets every cause and every name.
func TestSummaryTextInALog(t *testing.T) {
	var s record.Summary
	var odd []string
	for i := range 2000 {
		s.Add(ended(i, exit(uint32(1+i%2)), "", ""))
		if i%2 == 1 {
			odd = append(odd, fmt.Sprintf("node%d", i+1))
		}
	}
	for i := range 20 {
		s.Add(ended(2000+i, exit(uint32(100+i)), "", ""))
	}
	text := SummaryText(&s, 0, false)
	if n := strings.Count(text, "\n"); n != 1+22 || strings.Contains(text, "…") {
		t.Errorf("%d lines, cut: %v", n, strings.Contains(text, "…"))
	}
	if want := "\n  1,000 failed, exit status 2: " + expr.Fold(odd) + "\n"; !strings.Contains(text, want) {
		t.Errorf("without %.60q:\n%.300s", want, text)
	}
}

// The shown and the counted names add up to all names, and as many are shown as fit.
func TestFoldWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		indexes := rapid.SliceOfNDistinct(rapid.IntRange(1, 5000), 1, 200, rapid.ID).Draw(t, "indexes")
		g := record.Group{}
		for _, i := range indexes {
			g.Hosts = append(g.Hosts, fmt.Sprintf("n%d", i))
		}
		unkept := rapid.IntRange(0, 3).Draw(t, "not kept")
		g.Targets = len(indexes) + unkept
		columns := rapid.IntRange(minNames, 400).Draw(t, "columns")
		text := foldWithin(&g, columns)
		if ui.Width(text) > columns {
			t.Fatalf("%d columns: %q", columns, text)
		}
		shown, more, cut := strings.Cut(text, " … and ")
		hidden := 0
		if cut {
			if _, err := fmt.Sscanf(more, "%d more", &hidden); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		names, err := expr.Expand(shown)
		if err != nil || len(names)+hidden != g.Targets {
			t.Fatalf("%q shows %d and hides %d of %d: %v", text, len(names), hidden, g.Targets, err)
		}
	})
	if got := foldWithin(&record.Group{Targets: 5}, 80); got != "names not kept" {
		t.Errorf("%q", got)
	}
}

func BenchmarkSummaryText(b *testing.B) {
	var s record.Summary
	for i := range 10_000 {
		s.Add(fleet.Result{Target: target(i * 7 % 10_000), End: exit(uint32(i % 3))})
	}
	for b.Loop() {
		SummaryText(&s, 80, false)
	}
}
