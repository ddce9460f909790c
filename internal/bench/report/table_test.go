package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/internal/bench/benchrecord"
	"shoal/internal/bench/report/reporttest"
	"shoal/internal/ui"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// sample has one of everything: a measured 10,000, drops, a cut run.
func sample(t *testing.T) *Report {
	e := reporttest.Default(10, 100, 1000, 10000)
	e.Hosts = 20
	line(&e, Concurrent).Spoil = func(p *benchrecord.Point) {
		if p.Size == 10000 {
			p.Correct -= 12
			p.Outcomes, p.Reasons = map[string]int{"ok": 9988, "never_started": 12}, map[string]int{"throttled": 12}
		}
	}
	line(&e, Workers).Spoil = func(p *benchrecord.Point) {
		if p.Size == 10000 && p.Repeat == 3 {
			p.Complete, p.Correct = false, 9000
		}
	}
	return analyse(t, e.Record())
}

func TestTablesGolden(t *testing.T) {
	r := sample(t)
	for _, c := range []struct {
		file string
		text func(Table) string
	}{
		{"80.txt", func(x Table) string { return x.Text(80) }},
		{"40.txt", func(x Table) string { return x.Text(40) }},
		{"tables.md", Table.Markdown},
	} {
		var all []string
		for _, x := range r.Tables() {
			all = append(all, c.text(x))
		}
		golden(t, c.file, strings.Join(all, "\n"))
	}
}

func TestTablesFit(t *testing.T) {
	for _, columns := range []int{30, 40, 60, 80, 132} {
		for _, x := range sample(t).Tables() {
			for l := range strings.Lines(x.Text(columns)) {
				if w := ui.Width(strings.TrimSuffix(l, "\n")); w > columns {
					t.Errorf("a line of %q has %d of %d columns: %q", x.Name, w, columns, l)
				}
			}
		}
	}
}

// Records may come from others; their text must not control a terminal or break
// a table.
func TestForeignTextIsHarmless(t *testing.T) {
	e := reporttest.Default(10, 20)
	e.Header.Settings.Command = "a\x1b[2Jb|c<script>\n# d"
	e.Lines[3].Strategy = "x|y\x1b]0;z\a"
	var m Measurements
	if err := m.Add("a\x1b[31m.jsonl", bytes.NewReader(e.Record())); err != nil {
		t.Fatal(err)
	}
	r, err := m.Analyse()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Tables() {
		text, markdown := x.Text(80), x.Markdown()
		if strings.ContainsAny(text+markdown, "\x1b\a") {
			t.Errorf("%q has control characters", x.Name)
		}
		if strings.Contains(markdown, "<script") {
			t.Errorf("%q has a tag", x.Name)
		}
		for l := range strings.Lines(markdown) {
			if bars := strings.Count(l, "|") - strings.Count(l, `\|`); bars != 0 && bars != len(x.Head)+1 {
				t.Errorf("a row of %q has %d bars, want %d: %q", x.Name, bars, len(x.Head)+1, l)
			}
		}
	}
}

func TestTime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0 s", 0: "0 s", 64: "64 ns", 999: "999 ns", 1500: "1.50 µs", 85e4: "850 µs", 999499: "999 µs",
		999500: "1.00 ms", 12345678: "12.3 ms", 999499999: "999 ms", 999500000: "1.00 s", 2514e6: "2.51 s",
		412e8: "41.2 s", 59949e6: "59.9 s", 599501e5: "1 min 00 s", 24e11: "40 min 00 s", 121e12: "33 h 37 min",
	} {
		if got := Time(d); got != want {
			t.Errorf("Time(%d) is %q, want %q", d, got, want)
		}
	}
}

func TestRatios(t *testing.T) {
	for v, want := range map[float64]string{0: none, 1: "1.0 ×", 2.78: "2.8 ×", 9.96: "10 ×", 1234.4: "1,234 ×"} {
		if got := Times(v); got != want {
			t.Errorf("Times(%v) is %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: none, 0.864: "0.86", 36: "36", 205.9: "205", 12345: "12,345"} {
		if got := Often(v); got != want {
			t.Errorf("Often(%v) is %q, want %q", v, got, want)
		}
	}
}
