package browse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/mask"
	"shoal/internal/ui"
)

// Options configure a browser.
type Options struct {
	Source Source
	// Run and Command are the run's identifier and its command, which is not visible yet.
	Run, Command string
	// Controls are those of a run of this process; nil: nothing can be changed.
	Controls Controls
	// Kills says that a command that is cancelled is killed on its host.
	Kills bool
	// Rerun returns the arguments, and the line for a shell, that run the command again on
	// targets that are one of the words of shoal rerun and have one of the names; nil names
	// are all. An error says why that cannot be. nil disables it.
	Rerun func(words, names []string) (args []string, line string, err error)
	// Suspend stops this process, and Page shows what write gives it in the pager of the
	// person; both have the terminal as it was.
	Suspend func() tea.ExecCommand
	Page    func(write func(io.Writer) error) tea.ExecCommand
	// Broken is called at a panic while a frame is drawn; the browser is to be ended. It must
	// not block.
	Broken func()
	Colour bool
	// Now is time.Now, except in tests.
	Now func() time.Time
}

// page is what the screen shows.
type page uint8

const (
	pageHosts page = iota
	pageCauses
	pageGroups
	pageText // an output, a diff, help
	numTabs  = pageText
)

const (
	// pollEvery is the least time between two questions to the source.
	pollEvery = 200 * time.Millisecond
	// pollShare is how many times longer than a question the time to the next one is: it
	// takes at most 4 % of a processor.
	pollShare = 25
	// maxLine is how much of an output is read for a line about it, in bytes.
	maxLine = 512
	// maxText is how much of each stream is shown at once, in bytes, and maxGrowing how much
	// while it grows. The pager has all of it.
	maxText, maxGrowing = 1 << 20, 128 << 10
	// maxCopied is how much a terminal is given for its clipboard, in bytes: they limit it.
	maxCopied = 64 << 10
)

// Model is the browser, as a tea.Model.
type Model struct {
	opts  Options
	ctx   context.Context
	tasks tasks // what the Source is asked

	columns, lines int
	page           page
	list
	causes  []causeLine
	at      [numTabs]int // the cursors of causes and groups
	over    bool
	stopped bool
	elapsed time.Duration
	polled  time.Time
	failed  string // why the run cannot be read
	notice  string // the last message
	reading bool   // lines are being read
	mouse   bool

	text textView
	open opened
	back page // from pageText

	groups  *groupList
	masked  bool
	grouped bool // groups are being made

	input  *input
	wanted *regexp.Regexp // what n and N look for
	rerun  []string       // the arguments, once it is agreed to
	asking func(yes bool) tea.Cmd
	asked  string

	broken error // a panic, which ends the browser
}

// opened is what pageText shows.
type opened struct {
	title string
	index int       // of the target whose output it is; -1: none
	read  time.Time // LastByte when it was read
	done  bool      // it does not change any more
	busy  bool
	raw   []byte // what is copied
}

// New returns a browser whose work ends with ctx.
func New(ctx context.Context, o Options) *Model {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Model{opts: o, ctx: ctx, columns: 80, lines: 24, masked: true, open: opened{index: -1}}
}

// Close waits for what the Source is asked, after the end of ctx, and frees what is held.
func (m *Model) Close() error {
	m.tasks.end()
	if m.groups != nil {
		return m.groups.close()
	}
	return nil
}

// Err returns why the browser has ended by itself, or nil.
func (m *Model) Err() error { return m.broken }

// brokenMsg is a panic of a command.
type brokenMsg struct{ error }

// caught is deferred, and turns a panic into an error: the library would end without waiting
// for its goroutines.
func caught(to *error) {
	if p := recover(); p != nil {
		*to = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// Rerun returns the arguments of the command that the person wants to run next, or nil.
func (m *Model) Rerun() []string { return m.rerun }

// ask returns a command that asks the Source something.
func (m *Model) ask(f func(ctx context.Context) tea.Msg) tea.Cmd {
	return func() (msg tea.Msg) {
		if !m.tasks.begin() {
			return nil
		}
		defer m.tasks.Done()
		var broken error
		defer func() {
			if broken != nil {
				msg = brokenMsg{broken}
			}
		}()
		defer caught(&broken)
		return f(m.ctx)
	}
}

// tasks are commands that are at work. The program ends without them, and may start some at
// its end.
type tasks struct {
	sync.WaitGroup
	mu    sync.Mutex
	ended bool
}

func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.Add(1)
	}
	return !t.ended
}

func (t *tasks) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.Wait()
}

// The messages.
type (
	// Interrupt is Ctrl-C, as a signal.
	Interrupt struct{}
	// Suspend is Ctrl-Z, as a signal.
	Suspend struct{}
	// polledMsg is what the source answered.
	polledMsg struct {
		update Update
		cost   time.Duration
		err    error
	}
	pollMsg struct{} // it is time to ask again
	// linesMsg are lines about targets by index.
	linesMsg struct {
		lines map[int]outputLine
		err   error
	}
	outputMsg struct {
		index int
		read  time.Time
		out   Output
		found bool
		err   error
	}
	groupsMsg struct {
		groups *groupList
		err    error
	}
	diffMsg struct {
		pieces []piece
		title  string
		err    error
	}
	copiedMsg struct{ what string }
	pagedMsg  struct{ err error }
)

type outputLine struct {
	text string
	read time.Time
	done bool
}

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd { return m.poll() }

// pollAfter asks the source after a time.
func (m *Model) pollAfter(d time.Duration) tea.Cmd {
	return m.ask(func(ctx context.Context) tea.Msg {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d):
			return pollMsg{}
		}
	})
}

func (m *Model) poll() tea.Cmd {
	return m.ask(func(ctx context.Context) tea.Msg {
		begun := time.Now()
		u, err := m.opts.Source.Poll(ctx)
		return polledMsg{u, time.Since(begun), err}
	})
}

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (_ tea.Model, cmd tea.Cmd) {
	if m.broken == nil {
		func() {
			defer caught(&m.broken)
			cmd = m.update(msg)
		}()
	}
	if m.broken != nil {
		cmd = tea.Quit
	}
	return m, cmd
}

func (m *Model) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case brokenMsg:
		m.broken = msg.error
		return nil

	case tea.WindowSizeMsg:
		m.columns, m.lines = max(msg.Width, 1), max(msg.Height, 1)
		m.scroll(m.rows())
		return m.readLines()
	case tea.KeyPressMsg:
		return m.key(msg)
	case tea.PasteMsg:
		if m.input != nil {
			m.input.add(msg.Content)
		}
		return nil
	case tea.MouseMsg:
		return m.onMouse(msg)
	case Interrupt:
		return m.interrupt()
	case Suspend:
		return m.suspend()
	case pollMsg:
		return m.poll()
	case polledMsg:
		return m.onPolled(msg)
	case linesMsg:
		m.reading = false
		if msg.err != nil {
			m.notice = visibleError(msg.err)
		}
		for index, line := range msg.lines {
			t := &m.all[m.byID[index]]
			if line.done == (t.State == Done) {
				t.text, t.read, t.loaded, t.found = line.text, line.read, line.done, nil
			}
		}
		return nil
	case outputMsg:
		return m.onOutput(msg)
	case groupsMsg:
		return m.onGroups(msg)
	case diffMsg:
		if m.page == pageText && m.open.title == msg.title {
			m.open.busy, m.text.pieces = false, msg.pieces
			if msg.err != nil {
				m.notice = visibleError(msg.err)
			}
		}
		return nil
	case copiedMsg:
		m.notice = msg.what
		return nil
	case pagedMsg:
		if msg.err != nil {
			m.notice = visibleError(msg.err)
		}
		return nil
	}
	return nil
}

func (m *Model) onPolled(msg polledMsg) tea.Cmd {
	u := msg.update
	m.failed = ""
	if msg.err != nil {
		m.failed = visibleError(msg.err)
	}
	m.apply(u.Rows)
	if n := len(u.Notices); n > 0 {
		m.notice = strings.Join(u.Notices[max(n-3, 0):], "; ")
	}
	if u.Over && !m.over && m.opts.Controls != nil {
		m.notice = "the run has ended; q leaves the browser"
	}
	m.over, m.stopped, m.elapsed, m.polled = u.Over, u.Stopping, u.Elapsed, m.opts.Now()
	if m.moved > 0 {
		m.arrange()
		m.scroll(m.rows())
		if m.page == pageCauses {
			m.countCauses()
		}
	}
	cmds := []tea.Cmd{m.readLines(), m.readOutput()}
	if !u.Over || msg.err != nil {
		cmds = append(cmds, m.pollAfter(max(pollEvery, pollShare*msg.cost)))
	}
	return tea.Batch(cmds...)
}

func visibleError(err error) string { return ui.Visible(firstLine(err.Error())) }

// readLines reads the lines about the targets on the screen that are not known.
func (m *Model) readLines() tea.Cmd {
	if m.reading || m.page != pageHosts || m.columns < 40 {
		return nil
	}
	read := make(map[int]time.Time)
	var indexes []int
	for _, at := range m.listed[min(m.top, len(m.listed)):min(m.top+m.rows(), len(m.listed))] {
		t := &m.all[at]
		if t.State == Done && !t.loaded || t.State == InFlight && !t.LastByte.Equal(t.read) {
			indexes = append(indexes, t.Index)
			read[t.Index] = t.LastByte
		}
	}
	if indexes == nil {
		return nil
	}
	m.reading = true
	failed := make(map[int]bool)
	for _, i := range indexes {
		t := &m.all[m.byID[i]]
		failed[i] = t.State == Done && t.Outcome != fleet.OutcomeOK
	}
	slices.Sort(indexes)
	return m.ask(func(ctx context.Context) tea.Msg {
		lines := make(map[int]outputLine, len(indexes))
		err := m.opts.Source.Output(ctx, indexes, maxLine, func(index int, o Output) {
			lines[index] = outputLine{lastLine(&o, failed[index]), read[index], o.Done}
		})
		return linesMsg{lines, err}
	})
}

// lastLine returns the last line of an output that is not blank, made visible: of standard error
// if the command failed and has some.
func lastLine(o *Output, failed bool) string {
	streams := []fleet.Stream{fleet.Stdout, fleet.Stderr}
	if failed {
		slices.Reverse(streams)
	}
	for _, s := range streams {
		text := strings.TrimRight(string(o.Ends[s]), " \t\r\n")
		if text == "" {
			continue
		}
		text = strings.TrimLeft(text[strings.LastIndexAny(text, "\r\n")+1:], " \t")
		return ui.Visible(strings.ReplaceAll(text, "\t", " "))
	}
	return ""
}

// readOutput reads the output that is open, if it has changed.
func (m *Model) readOutput() tea.Cmd {
	if m.page != pageText || m.open.index < 0 || m.open.done || m.open.busy {
		return nil
	}
	t := &m.all[m.byID[m.open.index]]
	if t.State == Waiting || t.State == InFlight && t.LastByte.Equal(m.open.read) {
		return nil
	}
	m.open.busy = true
	index, read, limit := t.Index, t.LastByte, maxText
	if t.State == InFlight {
		limit = maxGrowing
	}
	return m.ask(func(ctx context.Context) tea.Msg {
		msg := outputMsg{index: index, read: read}
		msg.err = m.opts.Source.Output(ctx, []int{index}, limit, func(_ int, o Output) {
			for s := range o.Ends {
				o.Ends[s] = slices.Clone(o.Ends[s])
			}
			msg.out, msg.found = o, true
		})
		return msg
	})
}

func (m *Model) onOutput(msg outputMsg) tea.Cmd {
	if msg.index != m.open.index {
		return nil
	}
	m.open.busy = false
	if msg.err != nil {
		m.notice, m.open.done = visibleError(msg.err), true
	}
	if !msg.found {
		return nil // it is asked for again
	}
	m.open.read, m.open.done = msg.read, msg.out.Done
	m.open.raw = slices.Concat(msg.out.Ends[fleet.Stdout], msg.out.Ends[fleet.Stderr])
	m.text.set(outputPieces(&msg.out))
	return nil
}

// outputPieces returns an output as pieces: standard error below standard output.
func outputPieces(o *Output) []piece {
	var all []piece
	line := 1
	for s, end := range o.Ends {
		if len(end) == 0 {
			continue
		}
		if s == int(fleet.Stderr) {
			all = append(all, piece{text: "standard error", ours: true, style: ui.Yellow, stream: s, line: line})
		}
		cut := o.Sizes[s] - int64(len(end))
		if cut > 0 {
			all = append(all, piece{text: fmt.Sprintf("… %s before this are not shown: o opens all in the pager", ui.Bytes(cut)), ours: true, style: ui.Yellow, stream: s, line: line})
		}
		all = appendPieces(all, end, s, cut, line)
		line = all[len(all)-1].line + 1
	}
	if all == nil {
		return said("no output")
	}
	return all
}

// said is a line of our own.
func said(text string) []piece { return []piece{{text: text, ours: true, style: ui.Yellow, line: 1}} }

// ourPieces is a text of our own, whose lines are wrapped between words.
func ourPieces(text string) []piece {
	pieces := appendPieces(nil, []byte(text), 0, 0, 1)
	for i := range pieces {
		pieces[i].ours = true
	}
	return pieces
}

// writeOutput writes all output of a target for the pager.
func (m *Model) writeOutput(index int) func(io.Writer) error {
	return func(w io.Writer) error {
		var failed error
		err := m.opts.Source.Output(m.ctx, []int{index}, -1, func(_ int, o Output) {
			for s, text := range o.Ends {
				if s == int(fleet.Stderr) && len(text) > 0 {
					_, failed = io.WriteString(w, "standard error:\n")
				}
				for len(text) > 0 && failed == nil {
					n := min(len(text), maxText)
					if n < len(text) { // not within a character
						for n > maxText-4 && text[n]&0xc0 == 0x80 {
							n--
						}
					}
					_, failed = w.Write(ui.AppendVisible(nil, text[:n], ui.KeepNewline|ui.KeepTab))
					text = text[n:]
				}
			}
		})
		if err == nil {
			err = failed
		}
		return err //nolint:wrapcheck // the caller adds what was done
	}
}

// show opens a text.
func (m *Model) show(o opened, pieces []piece) {
	if m.page != pageText {
		m.back = m.page
	}
	m.page, m.open, m.notice = pageText, o, ""
	m.text = textView{pieces: pieces, chop: m.text.chop}
}

// openOutput opens the output of a target.
func (m *Model) openOutput(t *target) tea.Cmd {
	name := ui.Visible(t.Host)
	var pieces []piece
	switch {
	case t.State == Waiting:
		pieces = said("it has not begun")
	case t.State == InFlight && m.opts.Controls == nil:
		pieces = said("another process runs this: its output can be read when it has ended")
	case t.State == InFlight && t.LastByte.IsZero():
		pieces = said("no output yet")
	}
	m.show(opened{title: name, index: t.Index}, pieces)
	m.text.follow = t.State == InFlight
	return m.readOutput()
}

// A groupList are the groups of the results so far.
type groupList struct {
	*groups.Groups
	collector *groups.Collector
	results   int
	masked    bool
	reference *groups.Group // nil: none
	reading   sync.RWMutex  // held while texts of collector are read
	// lines are the first lines of the answers by index; equal ones have one memory.
	lines map[int]string
}

func (g *groupList) close() error {
	g.reading.Lock()
	defer g.reading.Unlock()
	return g.collector.Close() //nolint:wrapcheck // the caller adds what was done
}

// makeGroups groups the results.
func (m *Model) makeGroups() tea.Cmd {
	if m.grouped {
		return nil
	}
	m.grouped = true
	masked, reference := m.masked, ""
	if m.groups != nil && m.groups.reference != nil {
		reference = m.groups.reference.Shown.Host
	}
	return m.ask(func(ctx context.Context) tea.Msg {
		o := groups.Options{Memory: 16 << 20}
		if masked {
			o.Masker, o.Auto = mask.New(mask.All), true
		}
		c := groups.New(o)
		n := 0
		lines, known := make(map[int]string), make(map[string]string)
		for r, err := range m.opts.Source.Results(ctx) {
			if err != nil {
				_ = c.Close()
				return groupsMsg{err: err}
			}
			c.Add(&r)
			n++
			line := answerLine(&r)
			if _, is := known[line]; !is {
				known[line] = line
			}
			lines[r.Target.Index] = known[line]
		}
		g := &groupList{Groups: c.Groups(), collector: c, results: n, masked: masked, lines: lines}
		if reference != "" {
			g.reference = g.Of(reference)
		}
		if answers, _ := g.Answers(); g.reference == nil && len(answers) > 0 {
			g.reference = answers[0]
		}
		return groupsMsg{groups: g}
	})
}

// answerLine returns the first line of an answer, made visible: of standard error if the command
// failed and has some, and of the error if there is no answer.
func answerLine(r *fleet.Result) string {
	text := r.Stdout.Bytes
	if len(bytes.TrimSpace(text)) == 0 || r.Outcome != fleet.OutcomeOK && len(r.Stderr.Bytes) > 0 {
		text = r.Stderr.Bytes
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(text[:min(len(text), maxLine)]), []byte("\n"))
	if len(line) == 0 && r.Err != nil {
		return visibleError(r.Err)
	}
	return ui.Visible(strings.ReplaceAll(strings.TrimSuffix(string(line), "\r"), "\t", " "))
}

func (m *Model) onGroups(msg groupsMsg) tea.Cmd {
	m.grouped = false
	if msg.err != nil {
		m.notice = visibleError(msg.err)
		return nil
	}
	before := m.groups
	m.groups = msg.groups
	m.at[pageGroups] = max(min(m.at[pageGroups], len(m.groups.List)-1), 0)
	var cmds []tea.Cmd
	if before != nil {
		cmds = append(cmds, m.ask(func(context.Context) tea.Msg {
			_ = before.close() // nothing was written that is needed
			return nil
		}))
	}
	if m.groups.masked != m.masked {
		cmds = append(cmds, m.makeGroups())
	}
	return tea.Batch(cmds...)
}
