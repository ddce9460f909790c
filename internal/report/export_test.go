package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/mask"
	"shoal/internal/report"
)

// A row for each host, in which a spreadsheet finds no formula.
func TestCSV(t *testing.T) {
	c := newCollector()
	c.Add(result(0, fleet.End{Outcome: fleet.OutcomeOK}, "=HYPERLINK(\"x\")\na,b\n"))
	c.Add(result(3, fleet.Exited(fleet.PhaseDrain, 3, "", true), ""))
	c.Add(result(4, fleet.End{Outcome: fleet.OutcomeOK}, "\n=1+1"))
	c.Add(result(5, fleet.End{Outcome: fleet.OutcomeOK}, "＝1+1"))
	var b bytes.Buffer
	if err := reportOf(c, time.Second).CSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"index", "host", "outcome", "cause", "attempt", "start_ms", "took_ms", "group", "error", "output", "output_left_out"},
		{"0", "web00000", "ok", "", "1", "0.000", "100.000", "1", "", "'=HYPERLINK(\"x\")\na,b\n", "0"},
		{"3", "web00003", "failed", "exit status 3", "1", "3.000", "100.000", "2", "", "", "0"},
		{"4", "web00004", "ok", "", "1", "4.000", "100.000", "3", "", "'\n=1+1", "0"},
		{"5", "web00005", "ok", "", "1", "5.000", "100.000", "4", "", "'＝1+1", "0"},
	}
	if !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("%q", rows)
	}
}

// Each host is a test, whose output and cause are text.
func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := few().JUnit(&b); err != nil {
		t.Fatal(err)
	}
	var s struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
			} `xml:"failure"`
			Error *struct {
				Text string `xml:",chardata"`
			} `xml:"error"`
			Out string `xml:"system-out"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Tests != 40 || s.Failures != 1 || s.Errors != 1 || len(s.Cases) != 40 || s.Cases[8].Failure.Message != "failed: exit status 3" ||
		s.Cases[0].Failure != nil || s.Cases[0].Out != "fine\n" || s.Cases[9].Error == nil {
		t.Errorf("%d tests, %d failures, %d errors, %+v", s.Tests, s.Failures, s.Errors, s.Cases[7:10])
	}
	if want := few().Texts[few().Hosts[7].Text].Text; s.Cases[7].Out != want {
		t.Errorf("%q, want %q", s.Cases[7].Out, want)
	}
}

// What is masked does not part hosts, and is said; what is shown is the real text of one of them.
func TestMaskedGroups(t *testing.T) {
	c := report.NewCollector(report.Options{Groups: groups.Options{Masker: mask.New(mask.All), Auto: true}, Reference: "web00003"})
	ok := fleet.End{Outcome: fleet.OutcomeOK}
	c.Add(result(0, ok, "a\nup 12:00:01\n"))
	c.Add(result(1, ok, "a\nup 12:00:02\n"))
	c.Add(result(3, ok, "b\nup 12:00:03\n"))
	r := reportOf(c, 0)
	if len(r.Groups) != 2 || r.Told != mask.Of(mask.Time) || !r.Groups[1].Reference || r.Groups[0].Shown != 0 || r.Texts[r.Groups[0].Text].Text != "a\nup 12:00:01\n" {
		t.Fatalf("%+v, %v", r.Groups, r.Told)
	}
	if got := r.Texts[r.Groups[0].Diff].Text; got != "@@ -1,2 +1,2 @@\n-b\n+a\n up 12:00:03\n" {
		t.Errorf("%q", got)
	}
}

// Where nearly each host has an answer of its own, they are shown line by line.
func TestLineByLine(t *testing.T) {
	c := newCollector()
	for i := range 1000 {
		c.Add(result(i, fleet.End{Outcome: fleet.OutcomeOK}, fmt.Sprintf("a\nload %d\n\x1b[2J%d\n", i%900, i/900)))
	}
	r := reportOf(c, 0)
	if len(r.Groups) != 1000 || r.Lines < 0 || r.Lined != 1000 || r.NotCompared != 799 {
		t.Fatalf("%d groups, lines of %d hosts, %d not compared", len(r.Groups), r.Lined, r.NotCompared)
	}
	text := r.Texts[r.Lines]
	want := "      a\n    2 web[00000,00900]: load 0\n"
	if !strings.HasPrefix(text.Text, want) || !strings.Contains(text.Text, "\n      … 880 variants more\n") ||
		!strings.HasSuffix(text.Text, "  900 web[00000-00899]: \\x1b[2J0\n  100 web[00900-00999]: \\x1b[2J1\n") || text.Left != 0 {
		t.Errorf("%s(%d)", text.Text, text.Left)
	}
	var b bytes.Buffer
	if err := r.Text(&b, 80, false); err != nil || !strings.Contains(b.String(), "  900 web[00000-00899]: ") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
