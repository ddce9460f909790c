package browse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/groups"
	"shoal/internal/textdiff"
	"shoal/internal/ui"
)

// diffOf shows how the group of a target differs from the reference.
func (m *Model) diffOf(t *target) tea.Cmd {
	if m.groups == nil {
		m.notice = "3 groups the answers first"
		return nil
	}
	for _, g := range m.groups.List {
		if slices.ContainsFunc(g.Members, func(member groups.Member) bool { return member.Index == t.Index }) {
			return m.diff(g)
		}
	}
	m.notice = "it is in no group yet: 3 groups again"
	return nil
}

// diff shows how a group differs from the reference.
func (m *Model) diff(g *groups.Group) tea.Cmd {
	all, ref := m.groups, m.groups.reference
	switch ref {
	case nil:
		m.notice = "there is no answer to compare with"
		return nil
	case g:
		m.notice = "this is the reference"
		return nil
	}
	title := "diff of " + ui.Visible(g.Shown.Host)
	m.show(opened{title: title, index: -1, busy: true}, nil)
	return m.ask(func(context.Context) tea.Msg {
		all.reading.RLock()
		defer all.reading.RUnlock()
		d, err := all.Diff(ref, g)
		return diffMsg{diffPieces(ref, g, &d), title, err}
	})
}

// diffPieces returns a diff as text.
func diffPieces(ref, g *groups.Group, d *groups.Difference) []piece {
	var all []piece
	ours := func(style ui.Style, format string, args ...any) {
		all = append(all, piece{text: fmt.Sprintf(format, args...), style: style, ours: true, line: len(all) + 1})
	}
	ours(ui.Cyan, "--- reference, %s", membersText(ref))
	ours(ui.Cyan, "+++ %s", membersText(g))
	if ref.End.Outcome != g.End.Outcome || ref.End.Status != g.End.Status || ref.End.Signal != g.End.Signal || ref.End.Reason != g.End.Reason {
		ours(ui.Yellow, "it ended %s, the reference %s", endText(&g.End), endText(&ref.End))
	}
	if d.None() {
		ours(ui.Yellow, "the outputs are equal")
	}
	for s := range fleet.NumStreams {
		if d.Large[s] {
			ours(ui.Yellow, "%s differs, and is too large to be compared line by line", s)
		}
		if s == fleet.Stderr && len(d.Streams[s]) > 0 {
			ours(ui.Yellow, "standard error")
		}
		for i := range d.Streams[s] {
			h := &d.Streams[s][i]
			ours(ui.Cyan, "%s", h.Header())
			for _, line := range h.Lines {
				style := map[textdiff.Op]ui.Style{textdiff.Removed: ui.Red, textdiff.Added: ui.Green}[line.Op]
				text, newline := strings.CutSuffix(line.Text, "\n")
				all = append(all, piece{text: string(line.Op) + text, style: style, line: len(all) + 1})
				if !newline {
					ours(ui.Plain, "%s", textdiff.NoNewline)
				}
			}
		}
	}
	return all
}

// membersText names the members of a group, as far as they fit into a line or two.
func membersText(g *groups.Group) string {
	return ui.CountOf(len(g.Members), "host", "hosts") + ": " + ui.Truncate(ui.Visible(expr.Fold(g.Hosts())), 120)
}

// endText says how a target ended.
func endText(e *fleet.End) string {
	t := target{Row: Row{State: Done, End: *e}}
	if e.Reason != fleet.ReasonNone {
		return t.state() + ", " + t.cause().text()
	}
	return t.state()
}
