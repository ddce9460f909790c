package browse

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"shoal/fleet"
	"shoal/internal/runstate"
	"shoal/internal/ui"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a run as the tests want it.
type fake struct {
	next    Update // what Poll returns next
	outputs map[int]Output
	results []fleet.Result
	asked   []string // what Controls were told
	err     error
}

func (f *fake) Poll(context.Context) (Update, error) {
	u := f.next
	f.next.Rows, f.next.Notices = nil, nil
	return u, f.err
}

func (f *fake) Output(_ context.Context, indexes []int, limit int, have func(int, Output)) error {
	for _, i := range indexes {
		o, ok := f.outputs[i]
		if !ok {
			continue
		}
		for s, end := range o.Ends {
			o.Sizes[s] = int64(len(end))
			if limit >= 0 {
				o.Ends[s] = end[max(len(end)-limit, 0):]
			}
		}
		have(i, o)
	}
	return nil
}

func (f *fake) Results(context.Context) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		for _, r := range f.results {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (f *fake) Width(key byte) { f.asked = append(f.asked, "width "+string(key)) }
func (f *fake) Cancel(index int) bool {
	f.asked = append(f.asked, fmt.Sprint("cancel ", index))
	return true
}
func (f *fake) Interrupt() { f.asked = append(f.asked, "interrupt") }

// A screen is a browser without a terminal.
type screen struct {
	t testing.TB
	*Model
	*fake
	quit bool
}

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, f *fake, o Options, columns, lines int) *screen {
	o.Source, o.Now = f, func() time.Time { return now }
	ctx, cancel := context.WithCancel(context.Background())
	s := &screen{t: t, Model: New(ctx, o), fake: f}
	t.Cleanup(func() {
		cancel()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.tell(tea.WindowSizeMsg{Width: columns, Height: lines})
	s.run(s.Init())
	return s
}

func (s *screen) tell(msg tea.Msg) {
	_, cmd := s.Model.Update(msg)
	s.run(cmd)
}

// run does what a command says, without waiting: the time to poll again is the test's.
func (s *screen) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil, pollMsg:
	case tea.BatchMsg:
		for _, c := range msg {
			s.run(c)
		}
	case tea.QuitMsg:
		s.quit = true
	default:
		s.tell(msg)
	}
}

// poll has the browser take what changed.
func (s *screen) poll(u Update) {
	s.fake.next = u
	s.run(s.Model.poll())
}

var keys = map[string]tea.KeyPressMsg{
	"Enter": {Code: tea.KeyEnter}, "Esc": {Code: tea.KeyEscape}, "Tab": {Code: tea.KeyTab}, "Space": {Code: tea.KeySpace, Text: " "},
	"Down": {Code: tea.KeyDown}, "Ctrl-C": {Code: 'c', Mod: tea.ModCtrl}, "Backspace": {Code: tea.KeyBackspace},
}

// press presses keys: the words of keys, and the letters of other words.
func (s *screen) press(words ...string) {
	for _, word := range words {
		if key, ok := keys[word]; ok {
			s.tell(key)
			continue
		}
		for _, r := range word {
			s.tell(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

var sgr = regexp.MustCompile(`\x1b\[[0-9]*m`)

// plain returns what is on the screen, and checks that it fits and has nothing of a host that a
// terminal would interpret.
func (s *screen) plain() string {
	s.t.Helper()
	text := sgr.ReplaceAllString(s.View().Content, "")
	rows := strings.Split(text, "\n")
	if len(rows) != s.Model.lines {
		s.t.Errorf("%d rows instead of %d", len(rows), s.Model.lines)
	}
	for i, row := range rows {
		if ui.Visible(row) != row {
			s.t.Errorf("row %d: %q", i, row)
		}
		if w := ui.Width(row); w > s.Model.columns {
			s.t.Errorf("row %d has %d columns of %d: %q", i, w, s.Model.columns, row)
		}
		rows[i] = strings.TrimRight(row, " ")
	}
	return strings.Join(rows, "\n") + "\n"
}

func (s *screen) has(texts ...string) {
	s.t.Helper()
	shown := s.plain()
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			s.t.Errorf("there is no %q in\n%s", text, shown)
		}
	}
}

func (s *screen) cursorOn(host string) {
	s.t.Helper()
	if t := s.current(); t == nil || t.Host != host {
		s.t.Errorf("the cursor is not on %s:\n%s", host, s.plain())
	}
}

func result(i int, o fleet.Outcome, change func(*fleet.Result)) fleet.Result {
	r := fleet.Result{
		Target: fleet.Target{Index: i, Host: fleet.Host{Name: fmt.Sprintf("web%02d", i+1)}},
		End:    fleet.End{Outcome: o, Phase: fleet.PhaseDrain}, Attempt: 1,
	}
	r.Took[fleet.PhaseRun] = 400 * time.Millisecond
	if change != nil {
		change(&r)
	}
	return r
}

// ended is a run of 30 hosts that has ended: 20 answers that differ in their time only, 4 of
// another kernel, 3 that failed, one hostile, one wide, one never started.
func ended() *fake {
	f := &fake{outputs: make(map[int]Output)}
	for i := range 30 {
		stdout, stderr := fmt.Sprintf("kernel 6.1\nup since 12:00:%02d\n", i), ""
		o := fleet.OutcomeOK
		var change func(*fleet.Result)
		switch {
		case i%7 == 3:
			stdout = fmt.Sprintf("kernel 5.10\nup since 12:00:%02d\n", i)
		case i%10 == 5:
			o, stdout, stderr = fleet.OutcomeFailed, "", "cat: /etc/x: no such file\n"
			change = func(r *fleet.Result) { r.Status, r.Flags = 3, fleet.FlagExitKnown }
		case i == 1:
			stdout = "\x1b[2J\x1b]0;gone\a\tcleared\r\nand \u202eback\u202c\x9b31m\n"
		case i == 2:
			stdout = "日本語の答え\tはい\n"
		case i == 6:
			o, stdout = fleet.OutcomeNeverStarted, ""
			change = func(r *fleet.Result) {
				r.Phase, r.Reason, r.Err = fleet.PhaseAuth, fleet.ReasonAuthFailed, errors.New("user \"root\" was not \x1b[31mlet in")
			}
		}
		r := result(i, o, change)
		r.Stdout = fleet.Output{Bytes: []byte(stdout), Size: int64(len(stdout))}
		r.Stderr = fleet.Output{Bytes: []byte(stderr), Size: int64(len(stderr))}
		f.results = append(f.results, r)
		f.outputs[i] = Output{Ends: [fleet.NumStreams][]byte{r.Stdout.Bytes, r.Stderr.Bytes}, Done: true}
		f.next.Rows = append(f.next.Rows, Row{Index: i, Host: r.Target.Host.Name, State: Done, Attempt: 1, End: r.End, Took: r.Took.Total()})
	}
	f.next.Over, f.next.Elapsed = true, 1500*time.Millisecond
	return f
}

var recordedOptions = Options{Run: "1abc-wxyz", Command: "cat /etc/x\x1b[2J; uptime"}

// Every page, at the sizes of a phone, of a terminal and of a large one.
func TestFrames(t *testing.T) {
	for _, size := range [][2]int{{40, 12}, {80, 24}, {200, 50}} {
		name := fmt.Sprintf("%dx%d", size[0], size[1])
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all bytes.Buffer
				s := open(t, ended(), recordedOptions, size[0], size[1])
				for _, page := range []struct {
					title string
					keys  []string
				}{
					{"hosts", nil},
					{"the end of the hosts", []string{"G", "v"}},
					{"what is typed", []string{"/web"}},
					{"a hostile output", []string{"Esc", "g", "u", "j", "Enter"}},
					{"a wide output", []string{"q", "j", "Enter"}},
					{"causes", []string{"q", "2", "j"}},
					{"groups", []string{"3"}},
					{"a diff", []string{"j", "d"}},
					{"the hosts of a group", []string{"q", "Enter"}},
					{"keys", []string{"?"}},
				} {
					s.press(page.keys...)
					fmt.Fprintf(&all, "=== %s\n%s", page.title, s.plain())
				}
				golden := filepath.Join("testdata", name+".txt")
				if *update {
					if err := os.WriteFile(golden, all.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(want, all.Bytes()) {
					t.Errorf("it is not as in %s (-update rewrites it):\n%s", golden, all.Bytes())
				}
			})
		})
	}
}

// Colours are used only if they are wanted.
func TestColours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, colour := range []bool{false, true} {
			o := recordedOptions
			o.Colour = colour
			s := open(t, ended(), o, 80, 24)
			for _, page := range []string{"1", "2", "3"} {
				s.press(page)
				if got := regexp.MustCompile(`\x1b\[3[0-9]m`).MatchString(s.View().Content); got != colour {
					t.Errorf("page %s, colour %v: coloured %v", page, colour, got)
				}
			}
		}
	})
}

// flying is a run that goes on: the first hosts are in flight, the first for the longest time.
func flying(n, fly int) *fake {
	f := &fake{outputs: make(map[int]Output)}
	for i := range n {
		row := Row{Index: i, Host: fmt.Sprintf("web%05d", i)}
		if i < fly {
			row.State, row.Activity, row.Attempt, row.Since = InFlight, runstate.Running, 1, now.Add(time.Duration(i-fly)*time.Second)
		}
		f.next.Rows = append(f.next.Rows, row)
	}
	return f
}

func done(i int, host string) Row {
	return Row{Index: i, Host: host, State: Done, Attempt: 1, End: fleet.End{Outcome: fleet.OutcomeOK}}
}

// The cursor stays on its host, and the host on its line, while rows come and go.
func TestCursorStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flying(200, 60)
		s := open(t, f, Options{Controls: f}, 80, 20)
		s.press("i", "Space", "Space", "Space", "kkkkkkkkkkkkk")
		s.cursorOn("web00032")
		line := func() int { return s.cursor - s.top }
		before := line()
		for i := range 20 { // the oldest end, which are above it
			s.poll(Update{Rows: []Row{done(i, fmt.Sprintf("web%05d", i))}})
			s.cursorOn("web00032")
		}
		for i := 60; i < 90; i++ { // others begin
			s.poll(Update{Rows: []Row{{Index: i, Host: fmt.Sprintf("web%05d", i), State: InFlight, Since: now}}})
		}
		s.cursorOn("web00032")
		if line() != before {
			t.Errorf("it moved from line %d to %d:\n%s", before, line(), s.plain())
		}
		s.poll(Update{Rows: []Row{done(32, "web00032")}})
		s.cursorOn("web00033") // what has taken its place
		s.press("i")
		s.cursorOn("web00033")
		s.has("33", "web00033")
	})
}

// What is in flight has its age, that of its last byte, and its last line.
func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flying(30, 3)
		f.next.Rows[1].LastByte = now.Add(-90 * time.Second)
		f.next.Rows[2].Activity, f.next.Rows[2].Phase, f.next.Rows[2].Attempt = runstate.Connecting, fleet.PhaseKex, 2
		f.outputs[1] = Output{Ends: [fleet.NumStreams][]byte{[]byte("first\n\x1b[1mlast line\n\n")}}
		s := open(t, f, Options{Controls: f}, 80, 20)
		s.press("i")
		rows := strings.Split(s.plain(), "\n")
		for i, want := range []string{
			"0/30  3 in flight  27 waiting",
			"  host      state          time  quiet  last line, or why",
			"> web00000  running        3.0s      -",
			`  web00001  running        2.0s    90s  \x1b[1mlast line`,
			"  web00002  kex #2         1.0s",
		} {
			if rows[i+1] != want {
				t.Errorf("row %d is\n%q, want\n%q", i+1, rows[i+1], want)
			}
		}
		f.outputs[1] = Output{Ends: [fleet.NumStreams][]byte{[]byte("newer\n")}}
		s.poll(Update{})
		s.has("last line") // nothing came
		row := s.all[1].Row
		row.LastByte = now
		s.poll(Update{Rows: []Row{row}})
		s.has("newer")
	})
}

// An output grows while it is open; its end is followed until the person goes elsewhere.
func TestOutputGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flying(3, 1)
		s := open(t, f, Options{Controls: f}, 80, 6)
		s.press("Enter")
		s.has("no output yet")
		text := ""
		grow := func(from, to int) {
			for i := from; i < to; i++ {
				text += fmt.Sprintf("line %d\n", i)
			}
			f.outputs[0] = Output{Ends: [fleet.NumStreams][]byte{[]byte(text)}}
			row := s.all[0].Row
			row.LastByte = now.Add(time.Duration(to))
			s.poll(Update{Rows: []Row{row}})
		}
		grow(1, 10)
		s.has("line 5\nline 6\nline 7\nline 8\nline 9\n", "following")
		s.press("k")
		grow(10, 20)
		s.has("line 4\nline 5\nline 6\nline 7\nline 8\n", "line 4")
		s.press("G")
		grow(20, 30)
		s.has("line 28\nline 29\n", "following")
		f.outputs[0] = Output{Ends: [fleet.NumStreams][]byte{[]byte(text + "the end\n"), []byte("oops\n")}, Done: true}
		s.poll(Update{Rows: []Row{done(0, "web00000")}, Over: true})
		s.has("line 29\nthe end\nstandard error\noops\n", "ok")
		s.press("g/LINE 7", "Enter") // nothing has capitals
		s.has("not found")
		s.press("/line 2", "Enter", "n", "N")
		if v := s.View().Content; !strings.Contains(v, string(reverse)+"line 2") {
			t.Errorf("it is not marked: %q", v)
		}
		s.press("q")
		s.has("web00000")
	})
}

// What is listed can be narrowed by state, cause, group and text, and widened again.
func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, ended(), recordedOptions, 80, 24)
		listed := func(n int, what string) {
			t.Helper()
			if s.page != pageHosts || len(s.listed) != n {
				t.Errorf("%s: %d are listed, want %d:\n%s", what, len(s.listed), n, s.plain())
			}
		}
		s.press("2", "/failed", "Enter", "Enter")
		listed(3, "failed")
		s.press("Esc", "2", "G", "Enter")
		listed(26, "ok")
		s.press("&web1", "Enter")
		listed(9, "ok, web1")
		s.has("ok; &web1: 9 of 30")
		s.press("Esc", "Esc")
		listed(30, "all")
		s.press("3", "/5.10", "Enter", "Enter")
		listed(4, "a group")
		s.press("Esc", "/(", "Enter") // no expression
		s.has("not found")
		s.press("/NO SUCH", "Enter")
		s.has("not found")
		s.press("/no such", "Enter")
		s.cursorOn("web06")
		s.press("n")
		s.cursorOn("web16")
		s.press("NN")
		s.cursorOn("web26")
		s.press("&nobody", "Enter")
		listed(0, "nobody")
		s.has("no host is like that")
		s.press("j", "Enter", "v", "d", "o", "x", "y") // nothing to do it with
		s.press("&", "Enter")
		listed(30, "all")
	})
}

// Only what is in flight is cancelled, and only after a yes.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flying(5, 3)
		s := open(t, f, Options{Controls: f}, 40, 16)
		s.press("x")
		s.has("cancel web00000?", "may go on there", "(y/n)")
		s.press("n", "jv", "v", "v", "x")
		s.has("cancel 2 hosts?") // the third is not in flight
		s.press("y")
		s.has("2 hosts are given up")
		s.press("u", "G", "x")
		s.has("only what is in flight")
		s.press("+", "p", "X", "n", "X", "y", "Ctrl-C")
		want := []string{"cancel 1", "cancel 2", "width +", "width p", "interrupt", "interrupt"}
		if !slices.Equal(f.asked, want) {
			t.Errorf("%q instead of %q", f.asked, want)
		}
		s.press("q", "n")
		if s.quit {
			t.Error("it was left without a yes")
		}
		s.poll(Update{Over: true, Notices: []string{"said"}})
		s.has("the run has ended")
		f.asked = nil
		s.press("x", "+", "X")
		s.press("Ctrl-C")
		if !s.quit || f.asked != nil {
			t.Errorf("after the end: quit %v, asked %q", s.quit, f.asked)
		}
	})
}

// The command is run again only where it failed or did not run, as the line says.
func TestRerun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := recordedOptions
		var words, names []string
		o.Rerun = func(w, n []string) ([]string, string, error) {
			words, names = w, n
			return []string{"rerun"}, "shoal rerun 1abc", nil
		}
		s := open(t, ended(), o, 80, 24)
		s.press("r")
		s.has("nothing of what is chosen has failed or not run: 1 ok")
		s.press("*", "r")
		s.has("on 4 targets:", "  shoal rerun 1abc", "Left out, as the command has run there or may have: 26 ok.", "run it? (y/n)")
		if fmt.Sprint(words) != "[failed never-started]" || names != nil {
			t.Errorf("%q, %q", words, names)
		}
		s.press("n")
		if s.quit || s.Rerun() != nil {
			t.Error("it was not agreed to")
		}
		s.press("u", "/web06", "Enter", "v", "r")
		if fmt.Sprint(words) != "[failed]" || fmt.Sprint(names) != "[web06]" {
			t.Errorf("%q, %q", words, names)
		}
		s.press("y")
		if !s.quit || fmt.Sprint(s.Rerun()) != "[rerun]" {
			t.Errorf("quit %v, %q", s.quit, s.Rerun())
		}

		f := flying(3, 1)
		s = open(t, f, o, 80, 24)
		s.press("r")
		s.has("the run goes on")
	})
}

// y copies names, folded, or the output that is open; more than a terminal takes is refused.
func TestCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := ended()
		f.outputs[0] = Output{Ends: [fleet.NumStreams][]byte{bytes.Repeat([]byte("x"), maxCopied+1)}, Done: true}
		s := open(t, f, recordedOptions, 80, 24)
		copied := func(keys ...string) string {
			s.press(keys...)
			msg := s.copy()
			if msg == nil {
				return ""
			}
			return fmt.Sprint(msg().(tea.BatchMsg)[0]())
		}
		for _, c := range []struct {
			want string
			keys []string
		}{
			{"web01", nil},
			{"web[01-02]", []string{"vv"}},
			{"web[06,16,26]", []string{"2", "/failed", "Enter"}},
			{"web[04,11,18,25]", []string{"3", "/5.10", "Enter"}},
			{"日本語の答え\tはい\n", []string{"1", "u", "g", "jj", "Enter"}},
			{"", []string{"q", "kk", "Enter"}},
		} {
			if got := copied(c.keys...); got != c.want {
				t.Errorf("%q: %q instead of %q", c.keys, got, c.want)
			}
		}
		s.has("too much for a terminal's clipboard")
	})
}

// Groups are made anew with masks or without, and another may be the reference.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, ended(), recordedOptions, 80, 24)
		s.press("3")
		s.has("6 groups of 30 results", "time differ and do not count", "20  reference: web[01,")
		s.press("M")
		s.has("28 groups of 30 results; every byte counts")
		s.press("M", "/5.10", "Enter", "=", "g", "d")
		s.has("--- reference, 4 hosts", "+++ 20 hosts", "-kernel 5.10", "+kernel 6.1", " up since")
		s.press("q", "/no such", "Enter", "d")
		s.has("it ended failed 3, the reference ok", "+cat: /etc/x: no such file")
		s.press("q", "1", "g", "d")
		s.has("--- reference, 4 hosts")
	})
}

// A run that cannot be read says so, and is asked again.
func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: errors.New("the journal is \x1b[31mdamaged\nhint: copy it")}
		s := open(t, f, Options{}, 80, 24)
		s.has(`cannot be read: the journal is \x1b[31mdamaged`)
		f.err = nil
		s.poll(Update{Rows: []Row{done(0, "web1")}})
		s.has("web1")
	})
}

// The pager gets all of an output, made visible.
func TestPager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := ended()
		long := strings.Repeat("é\x1b", maxText/2)
		f.outputs[0] = Output{Ends: [fleet.NumStreams][]byte{[]byte("a\tb\r\n"), []byte(long)}, Done: true}
		s := open(t, f, recordedOptions, 80, 24)
		var got bytes.Buffer
		if err := s.writeOutput(0)(&got); err != nil {
			t.Fatal(err)
		}
		if want := "a\tb\nstandard error:\n" + strings.Repeat(`é\x1b`, maxText/2); got.String() != want {
			t.Errorf("%.80q and %d bytes, want %d", got.String(), got.Len(), len(want))
		}
		if err := s.writeOutput(0)(failing{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the error of the pager: %v", err)
		}
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Whatever a host writes is drawn within the screen, and all of it can be reached.
func TestAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\n\n\t\r\x1b a"))), 0, 300).Draw(t, "text")
		columns, lines := rapid.IntRange(1, 50).Draw(t, "columns"), rapid.IntRange(1, 10).Draw(t, "lines")
		if columns > 45 {
			text = append(bytes.Repeat([]byte("ä日"), 1000), text...)
		}
		v := textView{pieces: appendPieces(nil, text, 0, 0, 1), chop: rapid.Bool().Draw(t, "chop")}
		screens := 0
		var shown strings.Builder
		for {
			var b bytes.Buffer
			v.draw(&b, columns, lines, false)
			rows := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
			if len(rows) != lines {
				t.Fatalf("%d rows of %d", len(rows), lines)
			}
			for _, row := range rows {
				if ui.Visible(row) != row || ui.Width(row) > max(columns, 2) {
					t.Fatalf("%q in %d columns", row, columns)
				}
			}
			shown.WriteString(rows[0])
			if v.atEnd(columns, lines) {
				shown.WriteString(strings.Join(rows[1:], ""))
				break
			}
			v.move(1, columns, lines)
			if screens++; screens > 100_000 {
				t.Fatal("the end is not reached")
			}
		}
		if !v.chop {
			want := ""
			for i := range v.pieces {
				want += v.pieces[i].visible()
			}
			if got := strings.TrimRight(shown.String(), "~"); got != strings.TrimRight(want, "~") {
				t.Fatalf("shown is %q, want %q", got, want)
			}
		}
		v.move(-1_000_000, columns, lines)
		if v.top != 0 || v.row != 0 {
			t.Fatalf("at piece %d, row %d", v.top, v.row)
		}
	})
}

// The cost of a frame does not depend on the number of hosts.
func TestFrameAllocations(t *testing.T) {
	allocations := func(n int) float64 {
		f := flying(n, min(n, 80))
		s := open(t, f, Options{Controls: f, Colour: true}, 80, 24)
		return testing.AllocsPerRun(10, func() { _ = s.View() })
	}
	if few, many := allocations(100), allocations(10_000); many > few+20 {
		t.Errorf("%v allocations for a frame of 100 hosts, and %v of 10,000", few, many)
	}
}

// A panic ends the browser, and is its error.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		s := open(t, flying(3, 1), Options{Broken: func() { ended = true }}, 80, 24)
		s.opts.Now = nil
		_ = s.View()
		if s.press("j"); !ended || !s.quit || s.Err() == nil {
			t.Errorf("ended %v, quit %v, %v", ended, s.quit, s.Err())
		}
	})
}
