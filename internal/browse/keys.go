package browse

import (
	"fmt"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"shoal/internal/ui"
)

// An input is a line that the person types.
type input struct {
	prompt byte
	text   []rune
}

func (in *input) add(text string) {
	for _, r := range text {
		if unicode.IsPrint(r) && len(in.text) < 200 {
			in.text = append(in.text, r)
		}
	}
}

// rows is the number of lines of the screen that lists have.
func (m *Model) rows() int {
	n := m.lines - 4 // title, counts, a message, keys
	if m.page == pageHosts && m.heading() {
		n--
	}
	return max(n, 1)
}

// heading reports whether there is room for the names of the columns.
func (m *Model) heading() bool { return m.lines >= 16 }

// textLines is the number of lines that a text has.
func (m *Model) textLines() int { return max(m.lines-1, 1) }

func (m *Model) key(msg tea.KeyPressMsg) tea.Cmd {
	key := msg.String()
	switch {
	case key == "ctrl+c":
		return m.interrupt()
	case key == "ctrl+z":
		return m.suspend()
	case m.asking != nil:
		return m.answer(key)
	case m.input != nil:
		return m.typed(msg)
	}
	m.notice = ""
	if cmd, known := m.anywhere(key); known {
		return cmd
	}
	var cmd tea.Cmd
	switch m.page {
	case pageText:
		cmd = m.textKey(key)
	case pageHosts:
		cmd = m.hostsKey(key)
	default:
		cmd = m.tableKey(key)
	}
	return tea.Batch(cmd, m.readLines())
}

// anywhere handles the keys that mean the same on every page.
func (m *Model) anywhere(key string) (cmd tea.Cmd, known bool) {
	switch key {
	case "?", "f1":
		m.show(opened{title: "keys", index: -1}, ourPieces(keyHelp))
	case "/":
		m.input = &input{prompt: '/'}
	case "m":
		m.mouse = !m.mouse
		m.notice = "the terminal has the mouse: select text as usual"
		if m.mouse {
			m.notice = "the browser has the mouse; m gives it back"
		}
	case "y":
		return m.copy(), true
	case "+", "=", "-", "_", "p":
		if key == "=" && m.page == pageGroups {
			return nil, false
		}
		if m.opts.Controls == nil || m.over {
			m.notice = "the run does not go on in this process: its width cannot be changed"
			return nil, true
		}
		m.opts.Controls.Width(key[0])
	case "X":
		return m.cancelAll(), true
	case "1", "2", "3":
		return m.turnTo(page(key[0] - '1')), true
	case "tab":
		if m.page == pageText {
			return nil, false
		}
		return m.turnTo((m.page + 1) % numTabs), true
	case "shift+tab":
		if m.page == pageText {
			return nil, false
		}
		return m.turnTo((m.page + numTabs - 1) % numTabs), true
	default:
		return nil, false
	}
	return nil, true
}

func (m *Model) turnTo(p page) tea.Cmd {
	m.page, m.open = p, opened{index: -1}
	switch p {
	case pageCauses:
		m.countCauses()
	case pageGroups:
		if m.groups == nil || !m.over {
			return m.makeGroups()
		}
	default:
		m.scroll(m.rows())
		return m.readLines()
	}
	return nil
}

// quit leaves the browser.
func (m *Model) quit() tea.Cmd {
	if m.opts.Controls == nil || m.over {
		return tea.Quit
	}
	m.confirm("leave the browser? the run goes on, and its progress is shown", func(yes bool) tea.Cmd {
		if yes {
			return tea.Quit
		}
		return nil
	})
	return nil
}

func (m *Model) interrupt() tea.Cmd {
	if m.opts.Controls == nil || m.over {
		return tea.Quit
	}
	m.input, m.asking = nil, nil
	m.opts.Controls.Interrupt()
	return nil
}

func (m *Model) suspend() tea.Cmd {
	if m.opts.Suspend == nil {
		return nil
	}
	return tea.Exec(m.opts.Suspend(), func(err error) tea.Msg { return pagedMsg{err} })
}

func (m *Model) confirm(question string, do func(yes bool) tea.Cmd) {
	m.asked, m.asking = question, do
}

func (m *Model) answer(key string) tea.Cmd {
	do := m.asking
	m.asking = nil
	return do(key == "y" || key == "Y")
}

// typed handles a key while a line is typed.
func (m *Model) typed(msg tea.KeyPressMsg) tea.Cmd {
	in := m.input
	switch msg.String() {
	case "esc":
		m.input = nil
	case "enter":
		m.input = nil
		return m.entered(in)
	case "backspace", "ctrl+h":
		if len(in.text) == 0 {
			m.input = nil
			return nil
		}
		in.text = in.text[:len(in.text)-1]
	case "ctrl+u":
		in.text = nil
	case "ctrl+w":
		text := strings.TrimRight(string(in.text), " ")
		in.text = []rune(text[:strings.LastIndexByte(text, ' ')+1])
	default:
		in.add(msg.Text)
	}
	return nil
}

func (m *Model) entered(in *input) tea.Cmd {
	typed := string(in.text)
	re := pattern(typed)
	if in.prompt == '&' {
		m.filter.find, m.filter.typed = re, typed
		m.arrange()
		m.scroll(m.rows())
		return m.readLines()
	}
	if re != nil {
		m.wanted = re
	}
	m.next(false)
	return m.readLines()
}

// next goes to what is searched for.
func (m *Model) next(back bool) {
	if m.wanted == nil {
		m.notice = "nothing is searched for; / does"
		return
	}
	found := false
	switch m.page {
	case pageText:
		m.text.find = m.wanted
		found = m.text.search(back)
	case pageHosts:
		found = m.search(m.wanted, back)
		m.scroll(m.rows())
	default:
		n := m.tableLen()
		for i := 1; i <= n && !found; i++ {
			at := (m.at[m.page] + i) % n
			if back {
				at = (m.at[m.page] - i + n) % n
			}
			if found = m.wanted.MatchString(m.tableText(at)); found {
				m.at[m.page] = at
			}
		}
	}
	if !found {
		m.notice = "not found: " + ui.Visible(strings.TrimPrefix(m.wanted.String(), "(?i)"))
	}
}

// step returns how far a key moves in a list of n; ok is false if it does not.
func step(key string, rows, n int) (by int, ok bool) {
	switch key {
	case "j", "down", "ctrl+n":
		return 1, true
	case "k", "up", "ctrl+p":
		return -1, true
	case "ctrl+d":
		return max(rows/2, 1), true
	case "ctrl+u":
		return -max(rows/2, 1), true
	case "space", "pgdown", "ctrl+f", "f":
		return rows, true
	case "b", "pgup", "ctrl+b":
		return -rows, true
	case "g", "home", "<":
		return -n, true
	case "G", "end", ">":
		return n, true
	}
	return 0, false
}

func (m *Model) hostsKey(key string) tea.Cmd {
	if by, ok := step(key, m.rows(), len(m.listed)); ok {
		m.cursor += by
		m.scroll(m.rows())
		return nil
	}
	t := m.current()
	switch key {
	case "n", "N":
		m.next(key == "N")
	case "&":
		m.input = &input{prompt: '&'}
	case "i":
		m.listOnly(filter{kind: new(kindInFlight)}, m.kind != nil && *m.kind == kindInFlight)
	case "esc", "h", "left":
		m.widen()
	case "q":
		return m.quit()
	case "u":
		for i := range m.all {
			m.all[i].marked = false
		}
	case "*":
		for _, at := range m.listed {
			m.all[at].marked = true
		}
	case "r":
		return m.askRerun()
	case "x":
		return m.cancel()
	}
	if t == nil {
		return nil
	}
	switch key {
	case "v":
		t.marked = !t.marked
		m.cursor++
		m.scroll(m.rows())
	case "enter", "l", "right":
		return m.openOutput(t)
	case "o":
		return m.pager(t.Index)
	case "d":
		return m.diffOf(t)
	}
	return nil
}

// listOnly lists what f has, or all again if it is listed.
func (m *Model) listOnly(f filter, listed bool) {
	if listed {
		f = filter{}
	}
	f.find, f.typed = m.filter.find, m.filter.typed
	m.filter = f
	m.page = pageHosts
	if t := m.current(); t == nil || !f.has(t) {
		m.cursor = 0
	}
	m.arrange()
	m.scroll(m.rows())
}

// widen takes the last filter away.
func (m *Model) widen() {
	switch {
	case m.filter.find != nil:
		m.filter.find = nil
	case m.kind != nil || m.cause != nil || m.group != nil:
		m.filter = filter{}
	default:
		m.notice = "all hosts are listed; q leaves"
	}
	m.arrange()
	m.scroll(m.rows())
}

// tableLen is the length of the list of causes, or of groups.
func (m *Model) tableLen() int {
	switch {
	case m.page == pageCauses:
		return len(m.causes)
	case m.groups == nil:
		return 0
	}
	return len(m.groups.List)
}

// tableKey handles the keys of the lists of causes and groups.
func (m *Model) tableKey(key string) tea.Cmd {
	at, n := &m.at[m.page], m.tableLen()
	if by, ok := step(key, m.rows(), n); ok {
		*at = max(min(*at+by, n-1), 0)
		return nil
	}
	switch key {
	case "n", "N":
		m.next(key == "N")
		return nil
	case "q", "esc", "h", "left":
		return m.turnTo(pageHosts)
	}
	if m.page == pageGroups {
		switch key {
		case "M":
			m.masked = !m.masked
			return m.makeGroups()
		case "R":
			return m.makeGroups()
		}
	}
	if *at >= n {
		return nil
	}
	if m.page == pageCauses {
		if key == "enter" || key == "l" || key == "right" {
			c := m.causes[*at]
			f := filter{}
			switch {
			case c.all:
			case c.whole:
				f.kind = new(c.kind)
			default:
				f.cause = new(c.cause)
			}
			m.listOnly(f, false)
		}
		return nil
	}
	g := m.groups.List[*at]
	switch key {
	case "enter", "l", "right":
		has := make(map[int]bool, len(g.Members))
		for _, member := range g.Members {
			has[member.Index] = true
		}
		m.listOnly(filter{group: has, named: fmt.Sprintf("group %d", *at+1)}, false)
	case "=":
		m.groups.reference = g
	case "d":
		return m.diff(g)
	case "o":
		return m.pager(g.Shown.Index)
	}
	return nil
}

func (m *Model) textKey(key string) tea.Cmd {
	columns, lines := m.columns, m.textLines()
	switch key {
	case "j", "down", "enter", "ctrl+n":
		m.text.move(1, columns, lines)
	case "k", "up", "ctrl+p":
		m.text.move(-1, columns, lines)
	case "ctrl+d":
		m.text.move(max(lines/2, 1), columns, lines)
	case "ctrl+u":
		m.text.move(-max(lines/2, 1), columns, lines)
	case "space", "pgdown", "ctrl+f", "f":
		m.text.move(lines, columns, lines)
	case "b", "pgup", "ctrl+b":
		m.text.move(-lines, columns, lines)
	case "g", "home", "<":
		m.text.top, m.text.row, m.text.follow = 0, 0, false
	case "G", "end", ">":
		m.text.top, m.text.row = m.text.end(columns, lines)
		m.text.follow = m.open.index >= 0 && !m.open.done
	case "F":
		m.text.follow = !m.text.follow
	case "w":
		m.text.chop, m.text.left, m.text.row = !m.text.chop, 0, 0
	case "l", "right":
		if m.text.chop {
			m.text.left += columns / 2
		}
	case "h", "left":
		m.text.left = max(m.text.left-columns/2, 0)
	case "n", "N":
		m.next(key == "N")
	case "o":
		if m.open.index >= 0 {
			return m.pager(m.open.index)
		}
	case "x":
		if m.open.index >= 0 {
			return m.cancel()
		}
	case "q", "esc":
		m.page, m.open = m.back, opened{index: -1}
		m.scroll(m.rows())
	}
	return nil
}

func (m *Model) onMouse(msg tea.MouseMsg) tea.Cmd {
	mouse := msg.Mouse()
	switch msg := msg.(type) {
	case tea.MouseWheelMsg:
		by := 3
		if msg.Button == tea.MouseWheelUp {
			by = -3
		}
		switch m.page {
		case pageText:
			m.text.move(by, m.columns, m.textLines())
		case pageHosts:
			m.cursor += by
			m.scroll(m.rows())
		default:
			m.at[m.page] = max(min(m.at[m.page]+by, m.tableLen()-1), 0)
		}
	case tea.MouseClickMsg:
		first := m.lines - 2 - m.rows()
		if at := mouse.Y - first; m.page == pageHosts && at >= 0 && at < m.rows() && m.top+at < len(m.listed) {
			m.cursor = m.top + at
		}
	}
	return m.readLines()
}
