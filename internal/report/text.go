package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/output"
	"shoal/internal/ui"
	"shoal/record"
)

const (
	maxGroups = 20   // shown in a text
	maxCells  = 4000 // hosts with a cell in a text
	maxLines  = 20   // of the output of a group

	maxChanges = 20 // of a watch
)

// cells are the signs of hosts by outcome.
var cells = [fleet.NumOutcomes]rune{
	fleet.OutcomeNone: ' ', fleet.OutcomeOK: '·', fleet.OutcomeFailed: 'x', fleet.OutcomeSignalled: 'x', fleet.OutcomeNeverStarted: '!',
	fleet.OutcomeRefused: '!', fleet.OutcomeUnknown: '?', fleet.OutcomeCancelled: '-', fleet.OutcomeDetached: '>',
}

// Cells returns the shares of outcomes in a summary as n cells, with targets that wait as spaces,
// and those that run as ">". What occurs has one cell at least, if there is room.
func Cells(s *record.Summary, waiting, running, n int) string {
	count, total, most := s.Outcomes, 0, 0
	count[fleet.OutcomeNone] += waiting
	count[fleet.OutcomeDetached] += running
	for o, targets := range count {
		total += targets
		if targets > count[most] {
			most = o
		}
	}
	var given [fleet.NumOutcomes]int
	left := n
	for o, targets := range count {
		if targets > 0 {
			given[o] = max(1, targets*n/total)
			left -= given[o]
		}
	}
	given[most] = max(given[most]+left, 0)
	var b strings.Builder
	for o := range cells {
		b.WriteString(strings.Repeat(string(cells[o]), given[o]))
	}
	return b.String()
}

// Text writes the report for a terminal of this width; 0 means 80 columns.
func (r *Report) Text(w io.Writer, columns int, colour bool) error {
	if columns <= 0 {
		columns = 80
	}
	var b strings.Builder
	for _, row := range r.told() {
		fmt.Fprintf(&b, "%-9s %s\n", row[0], ui.Truncate(row[1], max(columns-10, 20)))
	}
	b.WriteString("\n" + output.SummaryText(&r.Summary, columns, colour))
	if r.Watch != nil {
		b.WriteString(r.changed(columns))
	} else {
		b.WriteString("\nphases\n" + indented(ui.AlignTable(r.phaseRows())))
	}
	if len(r.Phases) > 0 {
		b.WriteString("\ntimes of all phases together\n" + histogram(r.Phases[len(r.Phases)-1].Histogram, columns))
	}
	if most := r.Timeline.most(); most > 0 {
		fmt.Fprintf(&b, "\nopen sessions, up to %s, in %s\n  %s\n", ui.Count(int64(most)), ui.Duration(r.Timeline.Span*spans), r.Timeline.spark(columns-2))
	}
	fmt.Fprintf(&b, "\nhosts in their order: · ok, x failed, ! did not run, ? unknown, - cancelled\n%s", r.cellText(columns))
	fmt.Fprintf(&b, "\n%s%s\n", ui.CountOf(len(r.Groups), "distinct result", "distinct results"), r.compared())
	if r.Lines >= 0 {
		fmt.Fprintf(&b, "\n%s\n%s", r.linesHead(), indented(r.beginning("", r.Lines, maxPlaceLines, r.more()+" --diff")))
	}
	for i, g := range r.Groups {
		if i == maxGroups {
			fmt.Fprintf(&b, "… and %s more: %s\n", ui.Count(int64(len(r.Groups)-i)), r.more())
			break
		}
		fmt.Fprintf(&b, "\n%s\n", ui.Truncate(r.groupHead(&g), columns))
		b.WriteString(indented(r.excerpt(&g)))
	}
	_, err := io.WriteString(w, b.String())
	return err //nolint:wrapcheck // the caller knows what it writes to
}

// head returns what the run was, in pairs.
func (r *Report) head() [][2]string {
	rows := [][2]string{{"run", ui.Visible(r.Header.Run)}}
	if r.Header.Command != "" {
		rows = append(rows, [2]string{"command", ui.Visible(r.Header.Command)})
	}
	begun := r.Header.Started.Local().Format("2006-01-02 15:04:05 MST")
	if r.Header.Program != "" {
		begun += ", by " + ui.Visible(r.Header.Program)
	}
	if r.Directory != "" {
		begun += " in " + ui.Visible(r.Directory)
	}
	return append(rows, [2]string{"begun", begun}, [2]string{"elapsed", ui.Duration(r.Summary.Elapsed)}, [2]string{"hosts", ui.Count(int64(len(r.Hosts)))})
}

// told is the head with that of a watch.
func (r *Report) told() [][2]string {
	if r.Watch == nil {
		return r.head()
	}
	return append(r.head(), r.Watch.Head...)
}

// changed lists the last changes of a watch.
func (r *Report) changed(columns int) string {
	if len(r.Watch.Changes) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nother results than in the tick before, the last ones first\n")
	for i, c := range r.Watch.Changes {
		if i == maxChanges {
			break
		}
		b.WriteString("  " + ui.Truncate(c.When+": "+c.What+": "+c.Hosts, max(columns-2, 20)) + "\n")
	}
	if more := r.Watch.Earlier + max(0, len(r.Watch.Changes)-maxChanges); more > 0 {
		fmt.Fprintf(&b, "  … %s\n", ui.CountOf(more, "earlier one", "earlier ones"))
	}
	return b.String()
}

func (r *Report) phaseRows() [][]string {
	rows := [][]string{{"phase", "hosts", "p50", "p90", "p99", "max", ""}}
	for _, p := range r.Phases {
		rows = append(rows, []string{p.Name, ui.Count(int64(p.Hosts)), millis(p.P50), millis(p.P90), millis(p.P99), millis(p.Max), ""})
	}
	return rows
}

// millis formats a time so that those of a column can be compared.
func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}

func histogram(bins []Bin, columns int) string {
	most, rows := 1, make([][]string, len(bins))
	for _, bin := range bins {
		most = max(most, bin.Hosts)
	}
	for i, bin := range bins {
		rows[i] = []string{"below " + bin.Name(), ui.Count(int64(bin.Hosts)), strings.Repeat("█", (bin.Hosts*max(columns-40, 10)+most-1)/most)}
	}
	return indented(ui.AlignTable(rows))
}

func (t *Timeline) most() (most int) {
	for _, n := range t.Open {
		most = max(most, n)
	}
	return most
}

// spark returns the timeline as a line of blocks.
func (t *Timeline) spark(columns int) string {
	levels := []rune(" ▁▂▃▄▅▆▇█")
	most, n := t.most(), min(len(t.Open), max(columns, 1))
	line := make([]rune, n)
	for i := range line {
		high := 0
		for _, open := range t.Open[i*len(t.Open)/n : (i+1)*len(t.Open)/n] {
			high = max(high, open)
		}
		line[i] = levels[(high*(len(levels)-1)+most-1)/most]
	}
	return string(line)
}

func (r *Report) cellText(columns int) string {
	if len(r.Hosts) > maxCells {
		return fmt.Sprintf("  left out: more than %s hosts; -o FILE.html has a map\n", ui.Count(maxCells))
	}
	var b strings.Builder
	perRow := max((columns-2)/10*10, 10)
	for i, h := range r.Hosts {
		if i%perRow == 0 {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString("  ")
		}
		b.WriteRune(cells[h.Outcome])
	}
	return b.String() + "\n"
}

func (r *Report) groupHead(g *Group) string {
	names := make([]string, len(g.Hosts))
	for i, at := range g.Hosts {
		names[i] = r.Hosts[at].Name
	}
	text := ui.Count(int64(len(names))) + " " + strings.ReplaceAll(g.Outcome.String(), "_", " ")
	if g.Cause != "" {
		text += ", " + g.Cause
	}
	switch {
	case g.Reference:
		text += ", the reference"
	case r.showsDiff(g):
		text += ", how it differs"
	}
	if g.Differ != 0 {
		text += ", text of " + ui.Visible(r.Hosts[g.Shown].Name)
	}
	return text + ": " + ui.Visible(expr.Fold(names))
}

// compared says what was not compared, and the reference's share.
func (r *Report) compared() string {
	text := ""
	for _, g := range r.Groups {
		if g.Reference {
			silent := 0
			for _, other := range r.Groups {
				if other.Text < 0 && !other.Outcome.Ran() {
					silent += len(other.Hosts)
				}
			}
			text = fmt.Sprintf("; reference: %s of %s", ui.Count(int64(len(g.Hosts))), ui.Count(int64(len(r.Hosts))))
			if silent > 0 {
				text += fmt.Sprintf("; %s without an answer", ui.Count(int64(silent)))
			}
		}
	}
	if r.NotCompared > 0 {
		text += fmt.Sprintf("; %s groups are not compared with it, because they are too many or too large", ui.Count(int64(r.NotCompared)))
	}
	if r.Told != 0 {
		text += "; not compared, though hosts differ in it: " + r.Told.String()
	}
	return text
}

// showsDiff reports whether the diff of a group stands for its output: it is shorter.
func (r *Report) showsDiff(g *Group) bool {
	return g.Diff >= 0 && g.Text >= 0 && strings.Count(r.Texts[g.Diff].Text, "\n") <= strings.Count(r.Texts[g.Text].Text, "\n")+1
}

// excerpt returns the first lines of a group's output, or of its diff, and says what is left out.
func (r *Report) excerpt(g *Group) string {
	at, whole := g.Text, r.more()
	if r.showsDiff(g) {
		at, whole = g.Diff, r.more()+" --diff"
	}
	example := ""
	if shown := &r.Hosts[g.Shown]; at < 0 && shown.Error >= 0 {
		at = shown.Error
		if len(g.Hosts) > 1 {
			example = "for example " + ui.Visible(shown.Name) + ": "
		}
	}
	if at < 0 {
		return "(no output)\n"
	}
	return r.beginning(example, at, maxLines, whole)
}

// linesHead is what stands above Lines.
func (r *Report) linesHead() string {
	return "answers of " + ui.Count(int64(r.Lined)) + " hosts, line by line: number, hosts and text of each variant"
}

// beginning returns the first lines of a text, and the command for the rest.
func (r *Report) beginning(before string, at, lines int, whole string) string {
	t := r.Texts[at]
	var b strings.Builder
	b.WriteString(before)
	n := 0
	for line := range strings.Lines(t.Text) {
		if n++; n > lines {
			break
		}
		b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	if n > lines || t.Left > 0 {
		fmt.Fprintf(&b, "… cut here; all of it: %s\n", whole)
	}
	return b.String()
}

// more is the command that shows what the report leaves out.
func (r *Report) more() string { return "shoal show " + ui.Visible(r.Header.Run) + " -b" }

// Markdown writes the report as Markdown (CommonMark, with GitHub's tables).
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# shoal run " + code(r.Header.Run) + "\n\n")
	table(&b, []string{"", ""}, func(add func(...string)) {
		for _, row := range r.told() {
			add(row[0], code(row[1]))
		}
	})
	b.WriteString("\n" + fence("text", output.SummaryText(&r.Summary, 0, false)) + "\n## Causes\n\n")
	table(&b, []string{"hosts", "outcome", "cause", "names"}, func(add func(...string)) {
		for _, g := range r.Causes {
			cause := Cause(&fleet.End{Outcome: g.Outcome, Reason: g.Reason, Status: g.Status, Signal: g.Signal})
			add(ui.Count(int64(g.Targets)), g.Outcome.String(), code(cause), code(ui.Visible(expr.Fold(g.Hosts))))
		}
	})
	b.WriteString("\n## Phases\n\n")
	rows := r.phaseRows()
	table(&b, rows[0][:6], func(add func(...string)) {
		for _, row := range rows[1:] {
			add(row[:6]...)
		}
	})
	fmt.Fprintf(&b, "\n## Results\n\n%s distinct%s\n", ui.Count(int64(len(r.Groups))), r.compared())
	if r.Lines >= 0 {
		b.WriteString("\n" + r.linesHead() + "\n\n" + fence("text", r.beginning("", r.Lines, maxPlaceLines, r.more()+" --diff")))
	}
	for i, g := range r.Groups {
		if i == maxGroups {
			fmt.Fprintf(&b, "\n… and %s more\n", ui.Count(int64(len(r.Groups)-i)))
			break
		}
		kind := "text"
		if r.showsDiff(&g) {
			kind = "diff"
		}
		b.WriteString("\n" + code(r.groupHead(&g)) + "\n\n" + fence(kind, r.excerpt(&g)))
	}
	_, err := io.WriteString(w, b.String())
	return err //nolint:wrapcheck // the caller knows what it writes to
}

func table(b *strings.Builder, head []string, fill func(add func(...string))) {
	add := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	add(head...)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	fill(add)
}

// code returns text as a code span, in which nothing is markup (CommonMark §6.1), on one line
// and without what would end a cell of a table.
func code(text string) string {
	if text == "" {
		return ""
	}
	text = strings.NewReplacer("\n", " ", "|", "¦").Replace(text)
	ticks := strings.Repeat("`", longestRun(text)+1)
	return ticks + " " + text + " " + ticks
}

// fence returns text as a code block of a kind (CommonMark §4.5).
func fence(kind, text string) string {
	ticks := strings.Repeat("`", max(longestRun(text)+1, 3))
	return ticks + kind + "\n" + text + ticks + "\n"
}

// longestRun returns the length of the longest run of backticks.
func longestRun(text string) (longest int) {
	run := 0
	for _, c := range text {
		if c == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return longest
}

// JSON writes the report as one JSON object. Durations are integers in nanoseconds.
func (r *Report) JSON(w io.Writer) error {
	type phase struct {
		Name      string        `json:"name"`
		Hosts     int           `json:"hosts"`
		P50       time.Duration `json:"p50_ns"`
		P90       time.Duration `json:"p90_ns"`
		P99       time.Duration `json:"p99_ns"`
		Max       time.Duration `json:"max_ns"`
		Histogram []jsonBin     `json:"histogram"`
	}
	type host struct {
		Index   int           `json:"index"`
		Host    string        `json:"host"`
		Outcome string        `json:"outcome"`
		Cause   string        `json:"cause,omitempty"`
		Attempt int           `json:"attempt,omitempty"`
		Start   time.Duration `json:"start_ns"`
		Took    time.Duration `json:"took_ns"`
	}
	type group struct {
		Outcome string   `json:"outcome"`
		Cause   string   `json:"cause,omitempty"`
		Hosts   []string `json:"hosts"`
		Text    string   `json:"text"`
		Left    int64    `json:"text_left_out,omitempty"`
		Shown   string   `json:"text_of"`
		Differ  []string `json:"differ_in,omitempty"`
		Ref     bool     `json:"reference,omitempty"`
		Diff    string   `json:"diff,omitempty"`
		Cut     int64    `json:"diff_left_out,omitempty"`
	}
	var out struct {
		Type     string         `json:"type"`
		Run      string         `json:"run"`
		Command  string         `json:"command,omitempty"`
		Started  time.Time      `json:"started"`
		Elapsed  time.Duration  `json:"elapsed_ns"`
		Outcomes map[string]int `json:"outcomes"`
		Phases   []phase        `json:"phases"`
		Timeline struct {
			Span time.Duration `json:"span_ns"`
			Open []int         `json:"open"`
		} `json:"timeline"`
		Lines  string  `json:"lines,omitempty"` // of many groups; the rest is in the groups
		Groups []group `json:"groups"`
		Hosts  []host  `json:"hosts"`
	}
	out.Type, out.Run, out.Command, out.Started, out.Elapsed = "report", r.Header.Run, ui.Visible(r.Header.Command), r.Header.Started.UTC(), r.Summary.Elapsed
	out.Outcomes = make(map[string]int)
	for o, n := range r.Summary.Outcomes {
		if n > 0 {
			out.Outcomes[fleet.Outcome(o).String()] = n
		}
	}
	for _, p := range r.Phases {
		bins := make([]jsonBin, len(p.Histogram))
		for i, b := range p.Histogram {
			bins[i] = jsonBin(b)
		}
		out.Phases = append(out.Phases, phase{p.Name, p.Hosts, p.P50, p.P90, p.P99, p.Max, bins})
	}
	if r.Lines >= 0 {
		out.Lines = r.Texts[r.Lines].Text
	}
	out.Timeline.Span, out.Timeline.Open = r.Timeline.Span, r.Timeline.Open
	for _, g := range r.Groups {
		one := group{Outcome: g.Outcome.String(), Cause: g.Cause, Shown: ui.Visible(r.Hosts[g.Shown].Name), Ref: g.Reference}
		for _, kind := range g.Differ.Kinds() {
			one.Differ = append(one.Differ, kind.String())
		}
		if g.Diff >= 0 {
			one.Diff, one.Cut = r.Texts[g.Diff].Text, r.Texts[g.Diff].Left
		}
		for _, at := range g.Hosts {
			one.Hosts = append(one.Hosts, ui.Visible(r.Hosts[at].Name))
		}
		if g.Text >= 0 {
			one.Text, one.Left = r.Texts[g.Text].Text, r.Texts[g.Text].Left
		}
		out.Groups = append(out.Groups, one)
	}
	for _, h := range r.Hosts {
		out.Hosts = append(out.Hosts, host{h.Index, ui.Visible(h.Name), h.Outcome.String(), h.Cause, h.Attempt, h.Start, h.Took})
	}
	return json.NewEncoder(w).Encode(out) //nolint:wrapcheck // the caller knows what it writes to
}

type jsonBin struct {
	Below time.Duration `json:"below_ns"`
	Hosts int           `json:"hosts"`
}
