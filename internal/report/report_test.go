package report_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/report"
	"shoal/record"
)

// hostile is output that would do something as HTML, as Markdown or on a terminal.
const hostile = "</script><script>document.documentElement.dataset.pwned=1</script>" +
	"<img src=x onerror=\"document.documentElement.dataset.pwned=1\"></pre>\n```\n# heading\n| a | b |\n\x1b[2J\u202e\x00"

var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// result returns the result of a host that began i milliseconds after the run and took 100 ms.
func result(i int, e fleet.End, stdout string) fleet.Result {
	r := fleet.Result{
		Target: fleet.Target{Index: i, Host: fleet.Host{Name: fmt.Sprintf("web%05d", i)}}, End: e, Attempt: 1,
		Started: begun.Add(time.Duration(i) * time.Millisecond), Stdout: fleet.Output{Bytes: []byte(stdout), Size: int64(len(stdout))},
	}
	r.Took[fleet.PhaseDial], r.Took[fleet.PhaseRun] = 20*time.Millisecond, 80*time.Millisecond
	return r
}

func reportOf(c *report.Collector, elapsed time.Duration) *report.Report {
	r, err := c.Report(elapsed)
	if err != nil {
		panic(err)
	}
	return r
}

func newCollector() *report.Collector {
	return report.NewCollector(report.Options{Header: record.Header{Run: "1abc", Command: "echo `x` <b>", Started: begun, Program: "shoal"}})
}

// few is a run of 40 hosts: equal and other outputs, failures, and hostile text.
func few() *report.Report {
	c := newCollector()
	ok := fleet.End{Outcome: fleet.OutcomeOK}
	for i := range 40 {
		switch i {
		case 7:
			c.Add(result(i, ok, hostile))
		case 8:
			c.Add(result(i, fleet.Exited(fleet.PhaseDrain, 3, "", true), "bad\n"))
		case 9:
			r := result(i, fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonDialTimeout, Phase: fleet.PhaseDial, Err: fmt.Errorf("said %s", hostile)}, "")
			r.Attempt, r.Took = 0, fleet.Durations{}
			c.Add(r)
		default:
			c.Add(result(i, ok, "fine\n"))
		}
	}
	return reportOf(c, time.Second)
}

func TestReport(t *testing.T) {
	r := few()
	if len(r.Hosts) != 40 || len(r.Groups) != 4 || len(r.Groups[0].Hosts) != 37 || r.Texts[r.Groups[0].Text].Text != "fine\n" {
		t.Errorf("%d hosts, %d groups, the largest %+v", len(r.Hosts), len(r.Groups), r.Groups[0])
	}
	if g := r.Groups[2]; !r.Groups[0].Reference || r.Groups[0].Diff >= 0 || r.Texts[g.Diff].Text != "@@ -1 +1 @@\n-fine\n+bad\n" {
		t.Errorf("%+v, %+v", r.Groups[0], g)
	}
	last := r.Phases[len(r.Phases)-1]
	if len(r.Phases) != 3 || last.Name != "total" || last.Hosts != 39 || last.P50 != 100*time.Millisecond || last.Max != last.P99 {
		t.Errorf("%+v", r.Phases)
	}
	if open := slices.Max(r.Timeline.Open); open != 39 {
		t.Errorf("%d sessions open at most", open)
	}
}

// Quantiles are exact, and every time is in a bin.
func TestQuantiles(t *testing.T) {
	c := newCollector()
	for i := range 101 {
		r := result(i, fleet.End{Outcome: fleet.OutcomeOK}, "")
		r.Took = fleet.Durations{fleet.PhaseRun: time.Duration(i+1) * time.Millisecond}
		c.Add(r)
	}
	p := reportOf(c, 0).Phases[0]
	if p.P50 != 51*time.Millisecond || p.P90 != 91*time.Millisecond || p.P99 != 100*time.Millisecond || p.Max != 101*time.Millisecond {
		t.Errorf("%+v", p)
	}
	sum := 0
	for _, bin := range p.Histogram {
		sum += bin.Hosts
	}
	if sum != 101 {
		t.Errorf("%d in the histogram: %+v", sum, p.Histogram)
	}
}

// A text is cut at a character, and what is left out is counted.
func TestTextIsCut(t *testing.T) {
	c := report.NewCollector(report.Options{MaxText: 4})
	c.Add(result(0, fleet.End{Outcome: fleet.OutcomeOK}, "123ä5"))
	if got := reportOf(c, 0).Texts[0]; got != (report.Text{Text: "123", Left: 3}) {
		t.Errorf("%+v", got)
	}
}

// Neither a terminal nor Markdown interprets what a host sent.
// faults.md: I08
func TestHostileText(t *testing.T) {
	r := few()
	var text, markdown, object bytes.Buffer
	for _, err := range []error{r.Text(&text, 80, false), r.Markdown(&markdown), r.JSON(&object)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, out := range map[string]string{"text": text.String(), "markdown": markdown.String(), "json": object.String()} {
		if i := strings.IndexAny(out, "\x1b\x00\u202e"); i >= 0 {
			t.Errorf("%s: %q", name, out[max(i-20, 0):i+3])
		}
	}
	if !strings.Contains(markdown.String(), "\n````text\n") {
		t.Errorf("the fence is no longer than that in the text:\n%s", markdown.String())
	}
	if !json.Valid(object.Bytes()) {
		t.Error("the JSON is not valid")
	}
	for line := range strings.Lines(text.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 && !strings.HasPrefix(line, "  ") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// unpack returns what is in a data block of a page.
func unpack(t *testing.T, page []byte, id string, to any) {
	t.Helper()
	m := regexp.MustCompile(`(?s)<script type="application/gzip\+base64" id="` + id + `">([A-Za-z0-9+/=]*)</script>`).FindSubmatch(page)
	if m == nil {
		t.Fatalf("no block %s", id)
	}
	raw, err := base64.StdEncoding.DecodeString(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(to); err != nil {
		t.Fatal(err)
	}
}

// Nothing from a host is in the page but in the data blocks.
// faults.md: I08
func TestPageHasNoTextOfHosts(t *testing.T) {
	var b bytes.Buffer
	if err := few().HTML(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "<script"); n != 3 || strings.Contains(b.String(), "onerror=") || strings.Contains(b.String(), "web0") {
		t.Errorf("%d scripts in\n%.3000s", n, b.String())
	}
}

// Cells have the shares of outcomes, and what is rare has a cell too.
func TestCells(t *testing.T) {
	for _, c := range []struct {
		ok, failed, started, waiting, running int
		want                                  string
	}{
		{want: "        "},
		{ok: 3, want: "········"},
		{ok: 986, failed: 10, started: 4, want: "······x!"},
		{ok: 1, failed: 1, want: "····xxxx"},
		{ok: 1, failed: 999, waiting: 1000, running: 1, want: "   ·xxx>"},
	} {
		var s record.Summary
		s.Outcomes[fleet.OutcomeOK], s.Outcomes[fleet.OutcomeFailed], s.Outcomes[fleet.OutcomeNeverStarted] = c.ok, c.failed, c.started
		if got := report.Cells(&s, c.waiting, c.running, 8); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// Each host has its own text: neither bytes of an output that look like those between two nor what
// was left out of another one makes two the same.
func TestTextsAreApart(t *testing.T) {
	c := newCollector()
	add := func(stdout, stderr string, left int64) {
		r := result(len(stdout), fleet.End{Outcome: fleet.OutcomeOK}, stdout)
		r.Stderr = fleet.Output{Bytes: []byte(stderr), Size: int64(len(stderr)) + left}
		c.Add(r)
	}
	add("a", "b\xffc", 0)
	add("a\xffb", "c", 0)
	add("fine", "", 0)
	add("fine\n", "", 5)
	add("fine\n", "", 7)
	r := reportOf(c, time.Second)
	var got []string
	for _, h := range r.Hosts {
		got = append(got, fmt.Sprintf("%q %d", r.Texts[h.Text].Text, r.Texts[h.Text].Left))
	}
	want := []string{
		`"a\nstandard error:\nb\\xffc" 0`, `"a\\xffb\nstandard error:\nc" 0`, `"fine" 0`, `"fine\nstandard error:\n" 5`, `"fine\nstandard error:\n" 7`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}
