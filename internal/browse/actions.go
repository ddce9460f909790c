package browse

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/ui"
)

func (m *Model) pager(index int) tea.Cmd {
	if m.opts.Page == nil {
		return nil
	}
	return tea.Exec(m.opts.Page(m.writeOutput(index)), func(err error) tea.Msg { return pagedMsg{err} })
}

// copy gives the terminal's clipboard what is chosen (OSC 52).
func (m *Model) copy() tea.Cmd {
	text, what := "", ""
	if m.page == pageText && m.open.index >= 0 {
		raw := m.open.raw
		what = ui.Bytes(int64(len(raw))) + " of output"
		text = string(raw)
	} else if m.page == pageText {
		lines := make([]string, len(m.text.pieces))
		for i := range m.text.pieces {
			lines[i] = m.text.pieces[i].text
		}
		text = strings.Join(lines, "\n")
		what = "the text"
	} else {
		names := m.names()
		text = expr.Fold(names)
		what = ui.CountOf(len(names), "name", "names")
	}
	if text == "" {
		m.notice = "there is nothing to copy"
		return nil
	}
	if len(text) > maxCopied {
		m.notice = fmt.Sprintf("%s are too much for a terminal's clipboard, which takes %s; o opens the pager", what, ui.Bytes(maxCopied))
		return nil
	}
	return tea.Batch(tea.SetClipboard(text), func() tea.Msg {
		return copiedMsg{what + " copied, if the terminal allows it (OSC 52)"}
	})
}

// names are those that y copies.
func (m *Model) names() (names []string) {
	switch m.page {
	case pageCauses:
		if at := m.at[pageCauses]; at < len(m.causes) {
			for i := range m.all {
				if t := &m.all[i]; m.causes[at].has(t) {
					names = append(names, t.Host)
				}
			}
		}
	case pageGroups:
		if at := m.at[pageGroups]; m.groups != nil && at < len(m.groups.List) {
			names = m.groups.List[at].Hosts()
		}
	default:
		for _, t := range m.chosen() {
			names = append(names, t.Host)
		}
	}
	return names
}

func (m *Model) cancelAll() tea.Cmd {
	if m.opts.Controls == nil || m.over {
		m.notice = "the run does not go on in this process: Ctrl-C where it runs stops it"
		return nil
	}
	m.confirm("start nothing more, and wait for what runs?", func(yes bool) tea.Cmd {
		if yes {
			m.opts.Controls.Interrupt()
		}
		return nil
	})
	return nil
}

// cancel gives up the chosen targets that are in flight.
func (m *Model) cancel() tea.Cmd {
	if m.opts.Controls == nil || m.over {
		m.notice = "the run does not go on in this process: nothing can be cancelled"
		return nil
	}
	chosen := m.chosen()
	if m.page == pageText {
		chosen = []*target{&m.all[m.byID[m.open.index]]}
	}
	var indexes []int
	for _, t := range chosen {
		if t.State == InFlight {
			indexes = append(indexes, t.Index)
		}
	}
	if indexes == nil {
		m.notice = "only what is in flight can be cancelled"
		return nil
	}
	what, fate := ui.Visible(chosen[0].Host), "its command, if sent, may go on there, and becomes unknown"
	if len(indexes) > 1 {
		what, fate = ui.Count(int64(len(indexes)))+" hosts", "commands that were sent may go on there, and become unknown"
	}
	if m.opts.Kills {
		fate = "what was sent is killed there"
	}
	m.confirm("cancel "+what+"? "+fate, func(yes bool) tea.Cmd {
		if !yes {
			return nil
		}
		done := 0
		for _, i := range indexes {
			if m.opts.Controls.Cancel(i) {
				done++
			}
		}
		m.notice = ui.CountOf(done, "host is given up", "hosts are given up")
		return nil
	})
	return nil
}

// rerunWords are the words of shoal rerun for outcomes after which the command may run again:
// it has failed, or certainly did not run.
var rerunWords = map[fleet.Outcome]string{
	fleet.OutcomeFailed: "failed", fleet.OutcomeSignalled: "failed", fleet.OutcomeNeverStarted: "never-started",
	fleet.OutcomeRefused: "refused", fleet.OutcomeCancelled: "cancelled",
}

// askRerun asks whether to run the command again on what is chosen.
func (m *Model) askRerun() tea.Cmd {
	switch {
	case m.opts.Rerun == nil:
		m.notice = "the run cannot be run again from here"
		return nil
	case !m.over:
		m.notice = "the run goes on: what failed can be run again when it has ended"
		return nil
	}
	chosen := m.chosen()
	var words, names []string
	left := make(map[kind]int)
	taken := 0
	for _, t := range chosen {
		word := rerunWords[t.Outcome]
		if word == "" {
			left[t.kind()]++
			continue
		}
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
		names = append(names, t.Host)
		taken++
	}
	var rest []string
	for _, k := range order {
		if n := left[k]; n > 0 {
			rest = append(rest, ui.Count(int64(n))+" "+k.String())
		}
	}
	if taken == 0 {
		m.notice = "nothing of what is chosen has failed or not run: " + strings.Join(rest, ", ")
		return nil
	}
	slices.Sort(words)
	slices.Sort(names)
	targets := 0 // that the command line selects: hosts may have several
	every := true
	for i := range m.all {
		if t := &m.all[i]; slices.Contains(words, rerunWords[t.Outcome]) {
			if _, is := slices.BinarySearch(names, t.Host); is {
				targets++
			} else {
				every = false
			}
		}
	}
	if every {
		names = nil
	}
	args, line, err := m.opts.Rerun(words, slices.Compact(names))
	if err != nil {
		m.notice = visibleError(err)
		return nil
	}
	text := fmt.Sprintf("This leaves the browser and runs the command again on %s:\n\n  %s\n", ui.CountOf(targets, "target", "targets"), ui.Visible(line))
	if targets > taken {
		text += fmt.Sprintf("\n%s were chosen; the others are of the same hosts.\n", ui.Count(int64(taken)))
	}
	if len(rest) > 0 {
		text += fmt.Sprintf("\nLeft out, as the command has run there or may have: %s.\n", strings.Join(rest, ", "))
	}
	m.show(opened{title: "run again", index: -1}, ourPieces(text))
	m.confirm("run it?", func(yes bool) tea.Cmd {
		m.page = m.back
		m.scroll(m.rows())
		if !yes {
			return nil
		}
		m.rerun = args
		return tea.Quit
	})
	return nil
}
