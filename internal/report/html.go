package report

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"
	"unicode/utf8"

	"shoal/fleet"
	"shoal/internal/output"
	"shoal/internal/ui"
)

//go:embed dom.js
var dom string

//go:embed page.js
var page string

//go:embed page.css
var style string

// Assets returns the parts of a page beside its data: dom, the functions that page and other
// scripts need before them; the script of a report's page; and the style.
//
// The script makes the page in the element "main". Without a data-run at the body, the data are
// in the page, as HTML writes it. With it, this is an address below which it reads data and texts
// (see Pack), host?index=N, the texts of the target with this index as {Error, Output}, each
// null or [text, bytes left out], for a watch with Answer and Diff of report.Host, and events?seq=N, server-sent events: "rows" with {seq, rows},
// each row a target's index, outcome, cause, start, time taken and attempt, "watch" with {seq, head,
// changes} of a watch, and "reload".
func Assets() (before, script, css string) { return dom, page, style }

const (
	// textBudget limits the compressed texts of a page, in bytes: with the rest the file stays
	// below 10 MB.
	textBudget = 8 << 20
	// leastText is the size in bytes to which texts are cut if that is needed to stay within
	// textBudget. Ten thousand of these have room even if nothing can be compressed.
	leastText = 256
	// summaryColumns is where the names in the summary are cut.
	summaryColumns = 120
)

// HTML writes the report as one file that loads nothing: the policy in it forbids that, and
// every script but its own. Texts of hosts are in compressed data blocks, which are no script,
// and become text nodes only.
func (r *Report) HTML(w io.Writer) error {
	packed, err := r.Pack(Live{})
	if err != nil {
		return err
	}
	script := dom + page
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>%s</title>
<style>%s</style>
</head>
<body>
<noscript>This page needs JavaScript, which is in it. shoal report writes the same as text.</noscript>
<main id="main"></main>
<script type="application/gzip+base64" id="data">%s</script>
<script type="application/gzip+base64" id="texts">%s</script>
<script>%s</script>
</body>
</html>
`, hash(script), hash(style), html.EscapeString("shoal run "+ui.Visible(r.Header.Run)), style,
		base64.StdEncoding.EncodeToString(packed.Data), base64.StdEncoding.EncodeToString(packed.Texts), script)
	_, err = w.Write(b.Bytes())
	return err //nolint:wrapcheck // the caller knows what it writes to
}

// A Live is where a run stands that goes on. The zero value is for one that has ended.
type Live struct {
	On      bool
	Version string // of the data
	Seq     int64  // as in Assets: the rows that come after it are not in the data
}

// Packed is what the page of a report is made of: JSON, compressed with gzip.
type Packed struct{ Data, Texts []byte }

// Pack returns the report for its page.
func (r *Report) Pack(l Live) (p Packed, err error) {
	var cut int
	if p.Texts, cut, err = r.packTexts(); err == nil {
		p.Data, err = pack(r.pageData(cut, l))
	}
	return p, err
}

// pack returns v as JSON, compressed.
func pack(v any) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(v); err != nil {
		return nil, fmt.Errorf("encoding the report: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compressing the report: %w", err)
	}
	return b.Bytes(), nil
}

// packTexts packs the texts, each cut so far that all have room, and returns the size to which
// they were cut in addition to Options.MaxText; 0: they were not.
func (r *Report) packTexts() (packed []byte, cut int, err error) {
	longest := 0
	for _, t := range r.Texts {
		longest = max(longest, len(t.Text))
	}
	for {
		all := make([][2]any, len(r.Texts))
		for i, t := range r.Texts {
			text, left := t.Text, t.Left
			if cut > 0 && len(text) > cut {
				at := cut
				for at > 0 && !utf8.RuneStart(text[at]) {
					at--
				}
				text, left = text[:at], left+int64(len(text)-at)
			}
			all[i] = [2]any{text, left}
		}
		if packed, err = pack(all); err != nil {
			return nil, 0, err
		}
		size := base64.StdEncoding.EncodedLen(len(packed))
		if size <= textBudget || cut == leastText {
			return packed, cut, nil
		}
		// Shorter texts compress less well: aim below the budget.
		longest = int(float64(longest) * min(0.9*textBudget/float64(size), 0.9))
		cut = max(longest, leastText)
	}
}

// pageData is what the page shows at once, with short names: it is large.
func (r *Report) pageData(cut int, l Live) any {
	causes := []string{""}
	at := map[string]int{"": 0}
	index := func(cause string) int {
		i, known := at[cause]
		if !known {
			i = len(causes)
			at[cause] = i
			causes = append(causes, cause)
		}
		return i
	}
	hosts := struct {
		Name                                              []string
		Outcome, Cause, Start, Took, Attempt, Text, Error []int64
		Index                                             []int `json:",omitempty"` // unless they count from 0
	}{}
	if n := len(r.Hosts); n > 0 && r.Hosts[n-1].Index != n-1 {
		hosts.Index = make([]int, n)
	}
	for i, h := range r.Hosts {
		if hosts.Index != nil {
			hosts.Index[i] = h.Index
		}
		hosts.Name = append(hosts.Name, ui.Visible(h.Name))
		hosts.Outcome = append(hosts.Outcome, StateOf(h.Outcome, h.Running))
		hosts.Cause = append(hosts.Cause, int64(index(h.Cause)))
		hosts.Start = append(hosts.Start, h.Start.Microseconds())
		hosts.Took = append(hosts.Took, h.Took.Microseconds())
		hosts.Attempt = append(hosts.Attempt, int64(h.Attempt))
		hosts.Text = append(hosts.Text, int64(h.Text))
		hosts.Error = append(hosts.Error, int64(h.Error))
	}
	outcomes := []string{"waiting"}
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		outcomes = append(outcomes, strings.ReplaceAll(o.String(), "_", " "))
	}
	outcomes = append(outcomes, "running")
	type phase struct {
		Name  string
		Cells []string
		Bins  [][2]any
	}
	var phases []phase
	for i, p := range r.Phases {
		one := phase{Name: p.Name, Cells: r.phaseRows()[i+1][:6]}
		for _, bin := range p.Histogram {
			one.Bins = append(one.Bins, [2]any{bin.Name(), bin.Hosts})
		}
		phases = append(phases, one)
	}
	type group struct {
		Head, Note string
		Text, Diff int
		Error      int // of the host that is shown
	}
	var groups []group
	for _, g := range r.Groups {
		shown, note := &r.Hosts[g.Shown], ""
		switch {
		case shown.Error >= 0 && len(g.Hosts) > 1:
			note = "for example " + ui.Visible(shown.Name) + ":"
		case g.Differ != 0:
			note = "the text of " + ui.Visible(shown.Name) + "; others differ in " + g.Differ.String()
		}
		groups = append(groups, group{ui.Truncate(r.groupHead(&g), 400), note, g.Text, g.Diff, shown.Error})
	}
	what, watch := "run", map[string]any(nil)
	if r.Watch != nil {
		what, watch = "watch", r.Watch.News(l.Seq)
		watch["began"] = r.Header.Started.UnixMilli()
	}
	head := r.head()
	if r.Watch == nil { // its own head says it, and changes
		head = append(head, [2]string{"summary", strings.TrimSpace(output.SummaryText(&r.Summary, summaryColumns, false))})
	}
	if cut > 0 {
		head = append(head, [2]string{"cut", fmt.Sprintf("texts are cut at %s, so that this file stays small; %s shows them whole", ui.Bytes(int64(cut)), r.more())})
	}
	return map[string]any{
		"title": "shoal " + what + " " + ui.Visible(r.Header.Run), "watch": watch, "head": head, "hosts": hosts, "causes": causes, "outcomes": outcomes,
		"phases": phases, "groups": groups, "open": r.Timeline.Open, "span": r.Timeline.Span.Microseconds(), "more": "shoal show " + ui.Visible(r.Header.Run),
		"compared": strings.TrimPrefix(r.compared(), "; "), "lines": r.Lines, "linesHead": r.linesHead(), "live": l.On, "version": l.Version, "seq": l.Seq,
	}
}

// News returns the event "watch" with this number.
func (w *Watch) News(seq int64) map[string]any {
	changes := make([][4]any, len(w.Changes))
	for i, c := range w.Changes {
		changes[i] = [4]any{c.When, c.What, c.Hosts, c.First}
	}
	return map[string]any{"seq": seq, "head": w.Head, "changes": changes, "earlier": w.Earlier}
}

// StateOf returns the number by which the page knows what became of a target: that of the
// outcome, 0 for one that waits, and one behind the last outcome for one that runs.
func StateOf(o fleet.Outcome, running bool) int64 {
	if running {
		o = fleet.NumOutcomes
	}
	return int64(o)
}
