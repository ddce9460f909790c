package report_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/needs"
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
	return c.Report(time.Second)
}

func TestReport(t *testing.T) {
	r := few()
	if len(r.Hosts) != 40 || len(r.Groups) != 4 || len(r.Groups[0].Hosts) != 37 || r.Texts[r.Groups[0].Text].Text != "fine\n" {
		t.Errorf("%d hosts, %d groups, the largest %+v", len(r.Hosts), len(r.Groups), r.Groups[0])
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
	p := c.Report(0).Phases[0]
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
	if got := c.Report(0).Texts[0]; got != (report.Text{Text: "123", Left: 3}) {
		t.Errorf("%+v", got)
	}
}

// Neither a terminal nor Markdown interprets what a host sent.
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

// many is the page of 10,000 hosts with different answers of 2 KB, which compress badly.
var many = sync.OnceValues(func() ([]byte, error) {
	c, random := newCollector(), rand.New(rand.NewPCG(1, 2))
	for i := range 10_000 {
		answer := make([]byte, 1530)
		for j := range answer {
			answer[j] = byte(random.Uint32())
		}
		c.Add(result(i, fleet.End{Outcome: fleet.OutcomeOK}, base64.StdEncoding.EncodeToString(answer)))
	}
	var b bytes.Buffer
	err := c.Report(time.Second).HTML(&b)
	return b.Bytes(), err
})

// The page of 10,000 hosts stays below 10 MB whatever they answered; what is cut for that is said.
func TestSizeOfThePage(t *testing.T) {
	page, err := many()
	if err != nil {
		t.Fatal(err)
	}
	if len(page) >= 10_000_000 {
		t.Errorf("%d bytes", len(page))
	}
	var texts [][2]any
	unpack(t, page, "texts", &texts)
	if text, left := texts[9][0].(string), texts[9][1].(float64); len(texts) != 10_000 || len(text)+int(left) != 2040 || left == 0 {
		t.Errorf("%d texts, %d bytes and %v left", len(texts), len(text), left)
	}
	var data struct{ Head [][2]string }
	unpack(t, page, "data", &data)
	if last := data.Head[len(data.Head)-1]; last[0] != "cut" || !strings.Contains(last[1], "shoal show 1abc -b") {
		t.Errorf("%q", last)
	}
}

// Nothing from a host is in the page but in the data blocks.
func TestPageHasNoTextOfHosts(t *testing.T) {
	var b bytes.Buffer
	if err := few().HTML(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "<script"); n != 3 || strings.Contains(b.String(), "onerror") || strings.Contains(b.String(), "web0") {
		t.Errorf("%d scripts in\n%.3000s", n, b.String())
	}
}

// A browser shows the page from a file at three widths: it is ready, a host's output is text in
// it, and no script from it has run.
func TestPageInABrowser(t *testing.T) {
	chromium := needs.Program(t, "chromium")
	dir := t.TempDir()
	var b bytes.Buffer
	if err := few().HTML(&b); err != nil {
		t.Fatal(err)
	}
	large, err := many()
	if err != nil {
		t.Fatal(err)
	}
	pictures := os.Getenv("SHOAL_REPORT_PICTURES") // a directory, to look at the page
	for name, page := range map[string][]byte{"few": b.Bytes(), "many": large} {
		path := filepath.Join(dir, name+".html")
		if err := os.WriteFile(path, page, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{390, 1280, 1920} {
			if name == "many" && width != 1280 {
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			args := []string{
				"--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + filepath.Join(dir, "profile"), "--virtual-time-budget=20000",
				fmt.Sprintf("--window-size=%d,1400", width),
			}
			dom, err := exec.CommandContext(ctx, chromium, append(args, "--dump-dom", "file://"+path+"#host=7")...).Output()
			if err != nil {
				cancel()
				t.Fatal(err)
			}
			text := string(dom)
			root, _, _ := strings.Cut(text, "<head>")
			if !strings.Contains(root, "data-ready=") || strings.Contains(root, "pwned") {
				t.Errorf("%s at %d: %q", name, width, root)
			}
			if name == "few" && (!strings.Contains(text, "&lt;img src=x onerror=") || strings.Contains(text, "<img")) {
				t.Errorf("%s at %d: the output of a host is not text", name, width)
			}
			if n := strings.Count(text, `class="row`); n == 0 || n > 60 {
				t.Errorf("%s at %d: %d rows", name, width, n)
			}
			if pictures != "" {
				shot := "--screenshot=" + filepath.Join(pictures, fmt.Sprintf("%s-%d.png", name, width))
				if out, err := exec.CommandContext(ctx, chromium, append(args, shot, "file://"+path+"#host=7")...).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
			cancel()
		}
	}
}
