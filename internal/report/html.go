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

//go:embed page.js
var script string

//go:embed page.css
var style string

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
	texts, cut, err := r.packTexts()
	if err != nil {
		return err
	}
	main, err := pack(r.pageData(cut))
	if err != nil {
		return err
	}
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'">
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
`, hash(script), hash(style), html.EscapeString("shoal run "+ui.Visible(r.Header.Run)), style, main, texts, script)
	_, err = w.Write(b.Bytes())
	return err //nolint:wrapcheck // the caller knows what it writes to
}

// pack returns v as JSON, compressed, in base64.
func pack(v any) (string, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(v); err != nil {
		return "", fmt.Errorf("encoding the report: %w", err)
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("compressing the report: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// packTexts packs the texts, each cut so far that all have room, and returns the size to which
// they were cut in addition to Options.MaxText; 0: they were not.
func (r *Report) packTexts() (packed string, cut int, err error) {
	for size := r.MaxText; ; size = max(size/2, leastText) {
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
		if packed, err = pack(all); err != nil || len(packed) <= textBudget || cut == leastText {
			return packed, cut, err
		}
		cut = max(size/2, leastText)
	}
}

// pageData is what the page shows at once, with short names: it is large.
func (r *Report) pageData(cut int) any {
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
	}{}
	for _, h := range r.Hosts {
		hosts.Name = append(hosts.Name, ui.Visible(h.Name))
		hosts.Outcome = append(hosts.Outcome, int64(h.Outcome))
		hosts.Cause = append(hosts.Cause, int64(index(h.Cause)))
		hosts.Start = append(hosts.Start, h.Start.Microseconds())
		hosts.Took = append(hosts.Took, h.Took.Microseconds())
		hosts.Attempt = append(hosts.Attempt, int64(h.Attempt))
		hosts.Text = append(hosts.Text, int64(h.Text))
		hosts.Error = append(hosts.Error, int64(h.Error))
	}
	outcomes := make([]string, fleet.NumOutcomes)
	for o := range outcomes {
		outcomes[o] = strings.ReplaceAll(fleet.Outcome(o).String(), "_", " ")
	}
	type phase struct {
		Name  string
		Cells []string
		Bins  [][2]any
	}
	var phases []phase
	for i, p := range r.Phases {
		one := phase{Name: p.Name, Cells: r.phaseRows()[i+1][:6]}
		for _, bin := range p.Histogram {
			one.Bins = append(one.Bins, [2]any{ui.Duration(bin.Below), bin.Hosts})
		}
		phases = append(phases, one)
	}
	type group struct {
		Head  string
		Text  int
		Hosts []int
	}
	var groups []group
	for _, g := range r.Groups {
		groups = append(groups, group{ui.Truncate(r.groupHead(&g), 400), g.Text, g.Hosts})
	}
	head := r.head()
	head = append(head, [2]string{"summary", strings.TrimSpace(output.SummaryText(&r.Summary, summaryColumns, false))})
	if cut > 0 {
		head = append(head, [2]string{"cut", fmt.Sprintf("texts are cut at %s, so that this file stays small; %s shows them whole", ui.Bytes(int64(cut)), r.more())})
	}
	return map[string]any{
		"title": "shoal run " + ui.Visible(r.Header.Run), "head": head, "hosts": hosts, "causes": causes, "outcomes": outcomes, "counts": r.Summary.Outcomes,
		"phases": phases, "groups": groups, "open": r.Timeline.Open, "span": r.Timeline.Span.Microseconds(), "more": "shoal show " + ui.Visible(r.Header.Run),
	}
}
