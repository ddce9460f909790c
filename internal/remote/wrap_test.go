package remote

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// wraps are the kinds of wrappers that leave a command's output and status unchanged.
func wraps(f *far) map[string]Wrap {
	return map[string]Wrap{
		"timeout": {Nonce: nonce, Shell: f.sh, Timeout: time.Hour},
		"all":     {Nonce: nonce, Marker: f.marker(), Group: true, Timeout: time.Hour},
	}
}

func forget(t *testing.T, f *far) {
	t.Helper()
	question, err := f.marker().Forget(nonce)
	until(t, "the end of what the wrapper left, and of the marker,", func() bool { // such as the watch of a time limit
		return f.ask(t, question, err).Forgotten
	})
}

func TestCommandShowsAsItIs(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		var all strings.Builder // each byte but NUL
		for c := 1; c < 256; c++ {
			all.WriteByte(byte(c))
		}
		for name, w := range wraps(f) {
			if name == "timeout" && filepath.Base(f.program) != "dash" {
				continue
			}
			for i, command := range []string{
				"echo out; echo err >&2; exit 3",
				"cat",
				"printf %s 'a!b\\0c\nd'; exit 255",
				"printf '%s|' \"it's\" '$HOME' '`id`'\n\n",
				"sh -c 'kill -TERM $$' 2>/dev/null; exit $?",
				"kill -TERM $$", "kill -INT $$", "kill -QUIT $$", "kill -ALRM $$", "kill -KILL $$", "kill -PIPE $$",
				"exit 143", "exit 124",
				"umask; echo $PATH; echo $1$2; env | grep '^_[a-z]=' ; trap",
				"trap 'exit 5' USR1; kill -USR1 $$",
				": " + strings.Repeat("x", 100_000) + "; echo long",
				"no-such-program 2>/dev/null",
				"if",
			} {
				marker := f.marker()
				if marker.Index = i; w.Marker != nil {
					w.Marker = marker
				}
				want := f.plain(t, command, all.String()+"\x00no newline")
				got := f.wrapped(t, w, command, all.String()+"\x00no newline")
				want.signal = 0 // visible as 128+n
				if got != want {
					t.Errorf("%s, %.60q:\n got %v\nwant %v", name, command, got, want)
				}
				if w.Marker == nil {
					continue
				}
				if r := f.ended(t, marker); !reflect.DeepEqual(r, Report{State: StateEnded, Cause: CauseExit, Status: uint8(want.status)}) {
					t.Errorf("%s, %.60q: settled as %+v", name, command, r)
				}
			}
		}
	})
}

func TestEveryStatus(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		step := 1
		if filepath.Base(f.program) != "dash" {
			step = 51
		}
		for status := 0; status < 256; status += step {
			w := Wrap{Nonce: nonce, Shell: f.sh}
			if got := f.wrapped(t, w, fmt.Sprint("exit ", status), ""); got.status != status || got.signal != 0 || got.stderr != "" {
				t.Errorf("exit %d is seen as %+v", status, got)
			}
		}
	})
}

// TestEveryLoginShell passes the line to shells that are not all like sh.
func TestEveryLoginShell(t *testing.T) {
	for _, login := range logins() {
		t.Run(filepath.Base(login[0]), func(t *testing.T) {
			t.Parallel()
			f := newFar(t, "/bin/dash").withLogin(t, login)
			for name, w := range wraps(f) {
				got := f.wrapped(t, w, "printf '%s' 'a!b !! \\\\ \\' \"it's\" '\n\xff\xe9é\t\x7f'; exit 9", "")
				if want := (seen{stdout: "a!b !! \\\\ \\it's\n\xff\xe9é\t\x7f", status: 9}); got != want {
					t.Errorf("%s: got %v, want %v", name, got, want)
				}
				if w.Marker != nil && name != "once" {
					continue
				}
			}
			if r := f.settle(t); r.Status != 9 || r.State != StateEnded {
				t.Errorf("settled as %+v", r)
			}
			if r := f.kill(t, 0); r.Kill != KillGone {
				t.Errorf("killed as %+v", r)
			}
			forget(t, f)
		})
	}
}

// TestAccountsShell runs the command with $SHELL, whatever that is.
func TestAccountsShell(t *testing.T) {
	for shell, command := range map[string]string{
		"/bin/bash": "a=(1 2 '!'); echo ${a[2]}", "/usr/bin/zsh": "a=(1 2 '!'); echo $a[3]",
		"/usr/bin/tcsh": "set a = (1 2 '\\!'); echo $a[3]", "/usr/bin/fish": "set a 1 2 '!'; echo $a[3]",
	} {
		t.Run(filepath.Base(shell), func(t *testing.T) {
			f := newFar(t, "/bin/dash").withLogin(t, []string{shell})
			f.shell = shell
			got := f.wrapped(t, Wrap{Nonce: nonce, Marker: f.marker()}, command, "")
			if want := (seen{stdout: "!\n"}); got != want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestNoCharacter begins a command with an invalid byte, and checks the locale that the
// command gets.
func TestNoCharacter(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		for _, locale := range []string{"none", "C.UTF-8", ""} {
			if locale != "none" {
				f.more = []string{"LC_ALL=" + locale}
			}
			const command = "\xcc\\a 2>/dev/null; echo \"${LC_ALL-none}\"; env | grep ^LC_"
			want := f.plain(t, command, "")
			for name, w := range wraps(f) {
				if got := f.wrapped(t, w, command, ""); got != want || !strings.HasPrefix(got.stdout, locale+"\n") {
					t.Errorf("%s, %q: got %v, want %v", name, locale, got, want)
				}
				forget(t, f)
			}
		}
	})
}

func TestNoPath(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.path = ""
		for name, w := range wraps(f) {
			got := f.wrapped(t, w, "echo \"[$PATH]\"\n", "")
			if want := (seen{stdout: "[]\n"}); got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	})
}

// TestBytesSurvive passes any command through any login shell.
func TestBytesSurvive(t *testing.T) {
	fars := make([]*far, 0, len(logins()))
	for i, login := range logins() {
		f := newFar(t, shellNames()[i%len(shellNames())]).withLogin(t, login)
		f.shell = "/bin/cat" // fails, which does not matter
		fars = append(fars, f)
	}
	rapid.Check(t, func(r *rapid.T) {
		text := strings.ReplaceAll(string(rapid.SliceOf(rapid.Byte()).Draw(r, "bytes")), "\x00", "") +
			rapid.StringMatching("[ !'\"\\\\$`\n\r\t#;&|*?~%^0-9a-c]*").Draw(r, "text")
		f := rapid.SampledFrom(fars).Draw(r, "far")
		// The command is an argument of a program that prints it, not of a shell.
		argument, encoded := encode(text)
		script := assign("_n", nonce) + oneLine(startScript) + ` _c=$2; `
		if encoded {
			script = assign("_n", nonce) + oneLine(startScript+decodeScript)
		}
		got := f.run(t, must(t)(line(f.sh, script+` printf %s "$_c"`, argument)), "")
		if got.stdout != text || got.status != 0 {
			r.Fatalf("%s under %s: got %v, want %+q", f.login, f.sh, got, text)
		}
	})
}

// TestScriptsMeanTheSameEverywhere checks that the scripts contain only bytes that every
// shell leaves alone between single quotes.
func TestScriptsMeanTheSameEverywhere(t *testing.T) {
	m := &Marker{Run: "r", Index: 1}
	w := Wrap{Nonce: nonce, Marker: m, Group: true, Timeout: time.Second, Detach: true, FileLimit: 1}
	confirmed := Wrap{Nonce: nonce, Marker: m, Group: true, Timeout: time.Second, Confirm: true}
	for _, script := range []string{w.script(true, ""), confirmed.script(true, ""), w.script(false, "big"), Wrap{Nonce: nonce}.script(false, "big"), oneLine(toolScript + askScript + killScript + sweepScript)} {
		if bad := strings.ContainsAny(strings.ReplaceAll(script, "! ", ""), "'\\!\n\t"); bad {
			t.Errorf("%q", script)
		}
	}
	if n := len(must(t)(w.Line("uptime"))); n > 5200 {
		t.Errorf("the longest wrapper takes %d bytes", n)
	}
	if n := len(must(t)(Wrap{Nonce: nonce, Marker: m}.Line("uptime"))); n > 2200 {
		t.Errorf("a marker takes %d bytes", n)
	}
}

func TestLineErrors(t *testing.T) {
	good := &Marker{Run: "r"}
	for want, w := range map[string]Wrap{
		"a nonce has":            {Marker: good},
		"run name":               {Nonce: nonce, Marker: &Marker{Run: "-r"}},
		"neither may":            {Nonce: nonce, Marker: &Marker{Run: "r", Index: -1}},
		"run directory: \"a\"":   {Nonce: nonce, Marker: &Marker{Run: "r", Dir: "a"}},
		"run directory: \"/a'\"": {Nonce: nonce, Marker: &Marker{Run: "r", Dir: "/a'"}},
		"shell: \"/a b\"":        {Nonce: nonce, Shell: "/a b"},
		"need a marker":          {Nonce: nonce, Group: true},
		"timeout -1s":            {Nonce: nonce, Timeout: -time.Second},
		"file limit":             {Nonce: nonce, FileLimit: 1},
	} {
		if text, err := w.Line("x"); err == nil || !strings.Contains(err.Error(), want) || text != "" {
			t.Errorf("%+v: %q, %v; want %q", w, text, err, want)
		}
	}
	if _, err := (Wrap{Nonce: nonce}).Line("a\x00"); err == nil {
		t.Error("a NUL byte is taken")
	}
	if _, err := (Wrap{Nonce: nonce}).Line(strings.Repeat("x", MaxCommand+1)); err == nil || !strings.Contains(err.Error(), "hint: ") {
		t.Errorf("too long: %v", err)
	}
	if text, err := (Wrap{}).Line("a'b"); text != "a'b" || err != nil {
		t.Errorf("the zero Wrap gives %q, %v", text, err)
	}
}

// limited runs a command that first prints begun, with a time limit. On a machine that
// stalls, the limit may end it before that; then it gets more time.
func (f *far) limited(t *testing.T, w Wrap, command, begun string) seen {
	t.Helper()
	for w.Timeout = time.Second; ; w.Timeout *= 4 {
		s := f.wrapped(t, w, command, "")
		if strings.HasPrefix(s.stdout, begun) || w.Timeout > 10*time.Second {
			return s
		}
		if w.Marker != nil {
			f.kill(t, 0)
			forget(t, f)
		}
	}
}

// grace is more than any command here needs to end after TERM.
const grace = patience / 2

func TestTimeout(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		for _, c := range []struct {
			name, command string
			status        uint8
		}{
			{"gentle", "echo begun; exec sleep 100", 143},
			{"cleans up", "trap 'echo bye; exit 3' TERM; echo begun; sleep 100", 3},
			{"stubborn", "trap '' TERM; echo begun; sleep 100; sleep 100", 137},
		} {
			w := Wrap{Nonce: nonce, Marker: f.marker(), Grace: grace}
			wantSignal := syscall.SIGALRM
			if c.name == "stubborn" {
				w.Grace = time.Second
				wantSignal = syscall.SIGKILL // with its whole group
			}
			got := f.limited(t, w, c.command, "begun\n")
			if got.signal != wantSignal || !strings.HasPrefix(got.stdout, "begun\n") {
				t.Errorf("%s: %v", c.name, got)
			}
			r := f.settle(t)
			if r.State != StateEnded || r.Cause != CauseTimeout || r.Status != c.status {
				t.Errorf("%s: settled as %+v", c.name, r)
			}
			if c.name != "stubborn" { // what waits for the grace
				if r := f.kill(t, 0); r.Kill != KillRest {
					t.Errorf("%s: killed as %+v", c.name, r)
				}
			}
			until(t, "the end of the group", func() bool { return !f.settle(t).Left })
			forget(t, f)
		}
		w := Wrap{Nonce: nonce, Shell: f.sh, Timeout: time.Second, Grace: grace}
		if got := f.wrapped(t, w, "sleep 100", ""); got != (seen{signal: syscall.SIGALRM, status: 142}) {
			t.Errorf("without a marker: %v", got)
		}
		f.quiet = true
		if got := f.wrapped(t, w, "sleep 100", ""); got != (seen{signal: syscall.SIGALRM, status: 142}) {
			t.Errorf("not a leader: %v", got)
		}
	})
}

// TestTimeoutClosesOutput: when the output of a command that TERM ended is closed, the
// process that waits for the grace still exists, but must not keep the channel open.
func TestTimeoutClosesOutput(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		w := Wrap{Nonce: nonce, Marker: f.marker(), Grace: time.Hour}
		// run waits until standard output and standard error are closed.
		if s := f.limited(t, w, "echo begun; exec sleep 100", "begun\n"); s.signal != syscall.SIGALRM || s.stdout != "begun\n" {
			t.Errorf("the limit: %v", s)
		}
		if !f.settle(t).Left {
			t.Error("what waits for the time of grace is gone")
		}
		if r := f.kill(t, 0); r.Kill != KillRest {
			t.Errorf("killed as %+v", r)
		}
		until(t, "the end of the group", func() bool { return !f.settle(t).Left })
	})
}
