package browse

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/ui"
)

const (
	reverse ui.Style = "\x1b[7m"
	bold    ui.Style = "\x1b[1m"
)

// View implements tea.Model.
func (m *Model) View() (v tea.View) {
	if m.broken == nil {
		func() {
			defer caught(&m.broken)
			v = m.view()
		}()
		if m.broken != nil && m.opts.Broken != nil {
			m.opts.Broken()
		}
	}
	v.AltScreen = true
	return v
}

func (m *Model) view() tea.View {
	v := tea.NewView(m.withQuestion(m.frame()))
	if m.mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	if m.input != nil {
		before := ui.Width(string(m.input.prompt) + string(m.input.text))
		v.Cursor = tea.NewCursor(min(before, m.columns-1), m.lines-1)
	}
	return v
}

// withQuestion puts the question that is asked over the end of a frame.
func (m *Model) withQuestion(frame string) string {
	if m.asking == nil {
		return frame
	}
	question := strings.Split(strings.TrimSuffix(ui.Wrap(m.asked+" (y/n)", m.columns), "\n"), "\n")
	question = question[max(len(question)-m.lines, 0):]
	rows := strings.Split(frame, "\n")
	rows = rows[:max(min(len(rows), m.lines)-len(question), 0)]
	for _, text := range question {
		rows = append(rows, m.style(reverse, fill(ui.Truncate(text, m.columns), m.columns)))
	}
	return strings.Join(rows, "\n")
}

// frame draws the screen.
func (m *Model) frame() string {
	b := new(bytes.Buffer)
	if m.page == pageText {
		m.text.draw(b, m.columns, m.textLines(), m.opts.Colour)
		b.WriteString(m.lastRow(m.textStatus()))
		return b.String()
	}
	title := "shoal " + m.opts.Run
	if m.opts.Command != "" {
		title += "  " + ui.Visible(firstLine(m.opts.Command))
	}
	m.row(b, m.style(bold, ui.Truncate(title, m.columns)))
	m.row(b, m.countsLine())
	rows := m.rows()
	switch m.page {
	case pageHosts:
		m.drawHosts(b, rows)
	case pageCauses:
		m.drawTable(b, rows, m.causeRow)
	default:
		m.drawTable(b, rows, m.groupRow)
	}
	m.row(b, ui.Truncate(m.message(), m.columns))
	b.WriteString(m.lastRow(m.hints()))
	return b.String()
}

func (m *Model) row(b *bytes.Buffer, text string) {
	b.WriteString(text)
	b.WriteByte('\n')
}

// style returns text in a style, or without it if colours are not wanted; what is no colour
// stays.
func (m *Model) style(s ui.Style, text string) string {
	if !m.opts.Colour && s != reverse && s != bold {
		return text
	}
	return string(s.Append(nil, text))
}

// lastRow is the last line of the screen: what is typed, or else text.
func (m *Model) lastRow(text string) string {
	if m.input != nil {
		typed := string(m.input.prompt) + ui.Visible(string(m.input.text))
		for ui.Width(typed) > m.columns-1 { // its end
			_, typed = ui.Cut(typed, 1)
		}
		return typed
	}
	return m.style(reverse, fill(ui.Truncate(text, m.columns), m.columns))
}

// fill pads text with spaces.
func fill(text string, columns int) string {
	return text + strings.Repeat(" ", max(columns-ui.Width(text), 0))
}

// cut makes text exactly as wide as a column.
func cut(text string, columns int) string { return fill(ui.Truncate(text, columns), columns) }

// right is cut for what stands at the right.
func right(text string, columns int) string {
	return strings.Repeat(" ", max(columns-ui.Width(text), 0)) + ui.Truncate(text, columns)
}

// countsLine says how many targets there are of each kind, as far as there is room.
func (m *Model) countsLine() string {
	done := len(m.all) - m.counts[kindInFlight] - m.counts[kindWaiting]
	text := ui.Count(int64(len(m.all))) + " hosts"
	if done < len(m.all) {
		text = ui.Count(int64(done)) + "/" + ui.Count(int64(len(m.all)))
	}
	line, used := text, ui.Width(text)
	add := func(text string, style ui.Style) {
		if w := ui.Width(text) + 2; used+w <= m.columns {
			line += "  " + m.style(style, text)
			used += w
		}
	}
	if m.stopped && !m.over {
		add("stopping", ui.Yellow)
	}
	for _, k := range order {
		if n := m.counts[k]; n > 0 {
			add(ui.Count(int64(n))+" "+k.String(), k.style())
		}
	}
	elapsed := m.elapsed
	if !m.over && elapsed > 0 {
		elapsed += m.opts.Now().Sub(m.polled)
	}
	if elapsed > 0 {
		add(ui.Duration(elapsed), ui.Plain)
	}
	return line
}

// message is the line above the last one: what went wrong, was said, or is listed.
func (m *Model) message() string {
	if m.failed != "" {
		return "the run cannot be read: " + m.failed
	}
	if m.notice != "" {
		return m.notice
	}
	var parts []string
	if m.page == pageHosts {
		if f := m.filter.text(); f != "" {
			parts = append(parts, f+": "+ui.Count(int64(len(m.listed)))+" of "+ui.Count(int64(len(m.all))))
		}
		marked := 0
		for i := range m.all {
			if m.all[i].marked {
				marked++
			}
		}
		if marked > 0 {
			parts = append(parts, ui.Count(int64(marked))+" marked")
		}
		if parts == nil && len(m.listed) > 0 {
			parts = append(parts, ui.Count(int64(m.cursor+1))+" of "+ui.Count(int64(len(m.listed))))
		}
	}
	if m.page == pageGroups {
		parts = append(parts, m.groupsMessage())
	}
	return strings.Join(parts, "; ")
}

// hints are the keys that are worth knowing, as far as there is room.
func (m *Model) hints() string {
	tabs := []string{"1 hosts", "2 causes", "3 groups"}
	tabs[m.page] = "[" + tabs[m.page] + "]"
	text, last := strings.Join(tabs, " ")+" ", "? keys, q quit"
	if ui.Width(text+" "+last) > m.columns {
		last = "? keys"
	}
	var keys []string
	switch {
	case m.page == pageGroups:
		keys = []string{"Enter hosts", "d diff", "= reference", "M masks", "y copy"}
	case m.page == pageCauses:
		keys = []string{"Enter hosts", "y copy"}
	case m.opts.Controls != nil && !m.over:
		keys = []string{"Enter output", "/ find", "& filter", "i in flight", "x cancel", "+ - p width", "v mark", "y copy"}
	default:
		keys = []string{"Enter output", "/ find", "& filter", "v mark", "r run again", "d diff", "o pager", "y copy"}
	}
	for _, key := range keys {
		if ui.Width(text+" "+key+", "+last) <= m.columns {
			text += " " + key + ","
		}
	}
	return text + " " + last
}

// drawHosts draws the list of hosts.
func (m *Model) drawHosts(b *bytes.Buffer, rows int) {
	now := m.opts.Now()
	host := max(min(m.wide, m.columns*9/20), 4)
	state, took, quiet := 13, 5, 0
	if m.columns < 60 {
		state = 10
	}
	if m.columns >= 60 && m.counts[kindInFlight] > 0 {
		quiet = 6
	}
	line := func(mark, name, st, since, silence, says string) string {
		text := mark + cut(name, host) + "  " + cut(st, state) + " " + right(since, took)
		if quiet > 0 {
			text += " " + right(silence, quiet)
		}
		if room := m.columns - ui.Width(text) - 2; room >= 6 {
			text += "  " + ui.Truncate(says, room)
		}
		return ui.Truncate(text, m.columns)
	}
	if m.heading() {
		m.row(b, m.style(ui.Cyan, line("  ", "host", "state", "time", "quiet", "last line, or why")))
	}
	for i := range rows {
		at := m.top + i
		if at >= len(m.listed) {
			text := ""
			if i == 0 && len(m.all) > 0 {
				text = "  no host is like that; Esc lists all"
			} else if i == 0 && m.failed == "" {
				text = "  reading…"
			}
			m.row(b, ui.Truncate(text, m.columns))
			continue
		}
		t := &m.all[m.listed[at]]
		mark := "  "
		if t.marked {
			mark = " *"
		}
		if at == m.cursor {
			mark = ">" + mark[1:]
			m.row(b, m.style(reverse, fill(line(mark, ui.Visible(t.Host), t.state(), t.since(now), t.quiet(now), t.says()), m.columns)))
			continue
		}
		text := line(mark, ui.Visible(t.Host), t.state(), t.since(now), t.quiet(now), t.says())
		style := t.kind().style()
		if t.State == InFlight && t.Slow {
			style = ui.Yellow
		}
		if style != ui.Plain && m.opts.Colour { // only the state is coloured
			head, rest := ui.Cut(text, 2+host+2)
			word, rest := ui.Cut(rest, state)
			text = head + string(style.Append(nil, word)) + rest
		}
		m.row(b, text)
	}
}

// A causeLine is a line of the list of causes: all targets, those of a kind, or of a cause.
type causeLine struct {
	cause
	all, whole bool
	targets    int
}

func (c *causeLine) has(t *target) bool {
	return c.all || c.whole && c.kind == t.kind() || !c.whole && c.cause == t.cause()
}

func (m *Model) countCauses() {
	counts := make(map[cause]int)
	for i := range m.all {
		counts[m.all[i].cause()]++
	}
	m.causes = append(m.causes[:0], causeLine{all: true, targets: len(m.all)})
	for _, k := range order {
		if m.counts[k] == 0 {
			continue
		}
		m.causes = append(m.causes, causeLine{cause: cause{kind: k}, whole: true, targets: m.counts[k]})
		first := len(m.causes)
		for c, n := range counts {
			if c.kind == k && c.text() != "" {
				m.causes = append(m.causes, causeLine{cause: c, targets: n})
			}
		}
		slices.SortFunc(m.causes[first:], func(a, b causeLine) int {
			return cmp.Or(cmp.Compare(b.targets, a.targets), cmp.Compare(a.text(), b.text()))
		})
	}
	m.at[pageCauses] = min(m.at[pageCauses], len(m.causes)-1)
}

// drawTable draws the list of causes or of groups.
func (m *Model) drawTable(b *bytes.Buffer, rows int, row func(at int) (text string, style ui.Style)) {
	at, n := m.at[m.page], m.tableLen()
	top := max(min(at-rows/2, n-rows), 0)
	for i := top; i < top+rows; i++ {
		switch {
		case i >= n:
			text := ""
			if i == top && m.page == pageGroups {
				text = "  grouping…"
			}
			m.row(b, text)
		case i == at:
			text, _ := row(i)
			m.row(b, m.style(reverse, fill(ui.Truncate("> "+text, m.columns), m.columns)))
		default:
			text, style := row(i)
			m.row(b, m.style(style, ui.Truncate("  "+text, m.columns)))
		}
	}
}

// tableText is a line of the list of causes or of groups.
func (m *Model) tableText(at int) (text string) {
	if m.page == pageCauses {
		text, _ = m.causeRow(at)
	} else {
		text, _ = m.groupRow(at)
	}
	return text
}

func (m *Model) causeRow(at int) (string, ui.Style) {
	c := &m.causes[at]
	number := right(ui.Count(int64(c.targets)), 9) + "  "
	switch {
	case c.all:
		return number + "all", ui.Plain
	case c.whole:
		return number + c.kind.String(), c.kind.style()
	}
	return number + "  " + c.text(), c.kind.style()
}

func (m *Model) groupRow(at int) (string, ui.Style) {
	g := m.groups.List[at]
	names := g.Hosts()
	text := right(ui.Count(int64(len(names))), 7) + "  "
	style := ui.Plain
	if !g.End.Outcome.Ran() || g.End.Outcome != fleet.OutcomeOK {
		style = kind(g.End.Outcome).style()
	}
	if g == m.groups.reference {
		text += "reference: "
	}
	room := max(m.columns/3, 10)
	folded := ui.Visible(expr.Fold(names[:min(len(names), 200)]))
	if len(names) > 200 {
		folded += ",…"
	}
	text += ui.Truncate(folded, room) + ": " + endText(&g.End)
	if line := m.groups.lines[g.Shown.Index]; line != "" {
		text += ": " + line
	}
	return text, style
}

func (m *Model) groupsMessage() string {
	if m.groups == nil || m.grouped {
		return "grouping the answers…"
	}
	masked := "every byte counts; M masks times, pids and the like"
	if m.groups.masked {
		masked = "times, pids and the like do not count"
		if told := m.groups.Told; told != 0 {
			masked = told.String() + " differ and do not count"
		}
	}
	text := ui.CountOf(len(m.groups.List), "group", "groups") + " of " + ui.CountOf(m.groups.results, "result", "results") + "; " + masked
	if !m.over {
		text += "; R groups again"
	}
	return text
}

// textStatus is the last line of a text.
func (m *Model) textStatus() string {
	text := m.open.title
	if m.open.index >= 0 {
		t := &m.all[m.byID[m.open.index]]
		text += "  " + t.state()
		if since := t.since(m.opts.Now()); since != "" {
			text += " " + since
		}
		if t.State == Done && !t.Outcome.Ran() {
			if says := t.says(); says != "" {
				text += "  " + says
			}
		}
	}
	place := m.text.place(m.columns, m.textLines())
	if m.text.follow {
		place = "following"
	}
	if m.open.busy && m.text.pieces == nil {
		place = "reading…"
	}
	if m.notice != "" {
		place = m.notice
	}
	if room := m.columns - ui.Width(place) - 2; room < ui.Width(text) {
		text = ui.Truncate(text, max(room, 0))
	}
	return text + "  " + place
}
