package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"shoal/fleet"
	"shoal/internal/browse"
	"shoal/internal/cli/console"
	"shoal/internal/ptytest"
	"shoal/internal/runstate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A source is a run of some hosts, of which the first writes with each Poll.
type source struct {
	hosts, each int // each is how many change with each Poll
	polls       int
	panics      bool
}

func (s *source) Poll(context.Context) (browse.Update, error) {
	var u browse.Update
	if s.polls++; s.panics && s.polls > 1 {
		panic("the source is broken")
	}
	now := time.Now()
	n := s.each
	if s.polls == 1 {
		n = s.hosts
	}
	for i := range n {
		u.Rows = append(u.Rows, browse.Row{
			Index: i, Host: fmt.Sprintf("web%05d", i), State: browse.InFlight, Activity: runstate.Running, Attempt: 1, Since: now, LastByte: now,
		})
	}
	return u, nil
}

func (s *source) Output(_ context.Context, indexes []int, _ int, have func(int, browse.Output)) error {
	for _, i := range indexes {
		have(i, browse.Output{Ends: [fleet.NumStreams][]byte{fmt.Appendf(nil, "answer of %d\x1b]0;x\a\n", i)}})
	}
	return nil
}

func (s *source) Results(context.Context) iter.Seq2[fleet.Result, error] {
	return func(func(fleet.Result, error) bool) {}
}

// A terminal is one end of a pseudo-terminal, and what came from the other.
type terminal struct {
	t      testing.TB
	master *os.File
	stdio  console.Stdio
	before unix.Termios

	mu   sync.Mutex
	got  bytes.Buffer
	news chan struct{} // sent by the reader, closed at the end; capacity 1: a flag
}

func newTerminal(t testing.TB) *terminal {
	t.Setenv("TERM", "xterm")
	master, tty := ptytest.Open(t)
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	e := &terminal{t: t, master: master, stdio: console.Stdio{In: tty, Out: tty, Err: tty}, news: make(chan struct{}, 1)}
	e.before = e.mode()
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(e.news)
		buf := make([]byte, 64<<10)
		for {
			n, err := master.Read(buf)
			e.mu.Lock()
			e.got.Write(buf[:n])
			e.mu.Unlock()
			select {
			case e.news <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = tty.Close()
		reading.Wait()
		_ = master.Close()
	})
	return e
}

func (e *terminal) mode() unix.Termios {
	mode, err := unix.IoctlGetTermios(int(e.master.Fd()), unix.TCGETS)
	if err != nil {
		e.t.Fatal(err)
	}
	return *mode
}

// await waits for text, and forgets what came up to it.
func (e *terminal) await(text string) {
	e.t.Helper()
	for {
		e.mu.Lock()
		_, after, found := bytes.Cut(e.got.Bytes(), []byte(text))
		if found {
			rest := bytes.Clone(after)
			e.got.Reset()
			e.got.Write(rest)
		}
		shown := e.got.String()
		e.mu.Unlock()
		if found {
			return
		}
		if _, open := <-e.news; !open {
			e.t.Fatalf("%q did not come: %q", text, shown)
		}
	}
}

func (e *terminal) press(keys string) {
	e.t.Helper()
	if _, err := io.WriteString(e.master, keys); err != nil {
		e.t.Fatal(err)
	}
}

// end waits for the browser, and checks that the terminal is as it was: its mode, the screen, the
// cursor and the mouse.
func (e *terminal) end(b *Browser) error {
	e.t.Helper()
	_, err := b.Wait()
	if e.mode() != e.before {
		e.t.Error("the terminal's mode is not restored")
	}
	e.await("\x1b[?1049l")
	return err
}

// The browser draws, takes keys, and gives the terminal back.
func TestBrowser(t *testing.T) {
	for name, leave := range map[string]func(e *terminal, b *Browser){
		"q":      func(e *terminal, _ *Browser) { e.press("q") },
		"Ctrl-C": func(e *terminal, _ *Browser) { e.press("\x03") },
		"Quit":   func(_ *terminal, b *Browser) { b.Quit() },
	} {
		t.Run(name, func(t *testing.T) {
			e := newTerminal(t)
			b := Start(t.Context(), browse.Options{Source: &source{hosts: 100}, Run: "1abc"}, "", e.stdio)
			e.await("\x1b[?1049h")
			e.await("shoal 1abc")
			e.await("web00004")
			e.press("m") // the mouse, which is given back at the end
			e.await("\x1b[?1002h")
			e.press("y")
			e.await("\x1b]52;c;d2ViMDAwMDA=\a") // OSC 52 of web00000
			leave(e, b)
			if err := e.end(b); err != nil {
				t.Error(err)
			}
		})
	}
}

// The pager has the terminal as it was, and gets the output made visible.
func TestPage(t *testing.T) {
	e := newTerminal(t)
	got := filepath.Join(t.TempDir(), "got")
	t.Setenv("GOT", got)
	t.Setenv("PAGER", `cat > "$GOT"; echo in the pager`)
	b := Start(t.Context(), browse.Options{Source: &source{hosts: 3}}, "", e.stdio)
	e.await("web00002")
	e.press("jo")
	e.await("in the pager")
	e.await("web00002") // drawn again
	text, err := os.ReadFile(got)
	if want := "answer of 1\\x1b]0;x\\x07\n"; err != nil || string(text) != want {
		t.Errorf("the pager got %q, %v", text, err)
	}
	t.Setenv("PAGER", "exit 7")
	e.press("o")
	e.await("the pager")
	e.await("exit status 7")
	e.press("q")
	if err := e.end(b); err != nil {
		t.Error(err)
	}
}

// A panic ends the browser alone, with the terminal as it was.
func TestPanic(t *testing.T) {
	e := newTerminal(t)
	b := Start(t.Context(), browse.Options{Source: &source{hosts: 3, panics: true}}, "", e.stdio)
	if err := e.end(b); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("the error is %v", err)
	}
}

// Without a terminal, or with one that cannot move its cursor, there is an error with advice.
func TestCheck(t *testing.T) {
	e := newTerminal(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	for name, c := range map[string]struct {
		stdio console.Stdio
		term  string
		want  string
	}{
		"a terminal":        {e.stdio, "xterm", ""},
		"no input":          {console.Stdio{In: null, Out: e.stdio.Out}, "xterm", "needs a terminal as standard input and output"},
		"no output":         {console.Stdio{In: e.stdio.In, Out: new(bytes.Buffer)}, "xterm", "needs a terminal as standard input and output"},
		"a simple terminal": {e.stdio, "dumb", "whose cursor can be moved"},
	} {
		t.Setenv("TERM", c.term)
		err := Check(c.stdio, "do something else")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "hint: do something else")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is printed while the browser has the terminal comes after it, and its end is kept.
func TestAside(t *testing.T) {
	var a Aside
	_, _ = fmt.Fprint(&a, "shoal: one\nhint: two\x1b[m\n")
	if got := strings.Join(a.Notices(), "|"); got != `one|hint: two\x1b[m` || a.Notices() != nil {
		t.Errorf("%q", got)
	}
	for range 40 {
		_, _ = fmt.Fprint(&a, strings.Repeat("x", maxAside/20)+"\n")
	}
	_, _ = fmt.Fprint(&a, "last\n")
	var out bytes.Buffer
	if err := a.Release(&out); err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprint(&a, "later\n")
	if text := out.String(); len(text) > maxAside+100 || !strings.HasPrefix(text, "shoal: earlier messages are left out") || !strings.HasSuffix(text, "x\nlast\nlater\n") {
		t.Errorf("%d bytes, %.60q", len(text), text)
	}
	if err := new(Aside).Release(failing{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the error is %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// The names of hosts are written so that shoal rerun reads them.
func TestRerunLine(t *testing.T) {
	for _, c := range []struct {
		state        string
		words, names []string
		want         string
	}{
		{"", []string{"failed"}, nil, "shoal rerun 1abc failed"},
		{"/a b", []string{"failed", "refused"}, []string{"web1", "web2"}, "shoal rerun --state-dir '/a b' 1abc failed,refused 'web[1-2]'"},
		{"", []string{"cancelled"}, []string{"root@web1:22", "[2001:db8::7]:22"}, "shoal rerun 1abc cancelled '[2001:db8::7]:22,root@web1:22'"},
	} {
		args, line, err := RerunLine("1abc", c.state)(c.words, c.names)
		if err != nil || line != c.want || args[0] != "rerun" {
			t.Errorf("%q, %v", line, err)
		}
	}
}

// BenchmarkKeyToScreen is the time from a key to the bytes of the frame on the terminal, at 10,000
// hosts with 1,000 updates a second. It is to be below 50 ms.
func BenchmarkKeyToScreen(b *testing.B) {
	e := newTerminal(b)
	shown := Start(b.Context(), browse.Options{Source: &source{hosts: 10_000, each: 200}, Run: "1abc"}, "", e.stdio)
	e.await("web00004")
	keys := 0
	for b.Loop() {
		keys++
		e.press("?")
		e.await("moving") // of the help
		e.press("q")
		e.await("shoal 1abc")
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(2*keys), "ms/key")
	e.press("q")
	if err := e.end(shown); err != nil {
		b.Fatal(err)
	}
}
