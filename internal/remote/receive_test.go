package remote

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/internal/needs"
)

// padding makes a command too long for a line, in lines that every shell ignores.
var padding = "\n" + strings.Repeat("# "+strings.Repeat("x", 125)+"\n", 1500)

// withTmp gives the far end a TMPDIR of its own.
func (f *far) withTmp(t *testing.T) *far {
	t.Helper()
	dir := filepath.Join(f.home, "tmp")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f.more = append(f.more, "TMPDIR="+dir)
	return f
}

// leftovers returns the files of commands on the far end, and directories without a marker.
func (f *far) leftovers() []string {
	files, _ := filepath.Glob(filepath.Join(f.dir(), "*", "cmd"))
	private, _ := filepath.Glob(filepath.Join(f.home, "tmp", "*"))
	return append(files, private...)
}

// request wraps a command that goes through standard input.
func request(t *testing.T, w Wrap, command string) (text, input string) {
	t.Helper()
	text, input, err := w.Request(command)
	if err != nil || input == "" || len(text) > 6000 {
		t.Fatalf("a line of %d bytes, %d of input, %v", len(text), len(input), err)
	}
	return text, input
}

func (f *far) big(t *testing.T, w Wrap, command string) seen {
	t.Helper()
	text, input := request(t, w, command)
	return f.run(t, text, input)
}

// bigWraps are the kinds of wrappers of a big command.
func bigWraps(f *far) map[string]Wrap {
	all := wraps(f)
	all["nothing"] = Wrap{Nonce: nonce, Shell: f.sh}
	all["marker"] = Wrap{Nonce: nonce, Marker: f.marker()}
	return all
}

func TestBigCommandShowsAsItIs(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		var all strings.Builder // each byte but NUL
		for c := 1; c < 256; c++ {
			all.WriteByte(byte(c))
		}
		for _, command := range []string{
			"echo out; echo err >&2; exit 3",
			"cat; read x; echo $?",
			"kill -TERM $$",
			"umask; echo $PATH; echo \"$0\" $# $1; env | grep '^_[a-z]=' ; trap; pwd",
			"cat <<'EOF'\n$HOME `id` '\nEOF\nexit 9",
			"printf '%s' '" + strings.NewReplacer("'", "").Replace(all.String()) + "'",
		} {
			want := f.plain(t, command, "")
			want.signal = 0 // visible as 128+n
			for name, w := range bigWraps(f) {
				if name != "all" && name != "nothing" && filepath.Base(f.program) != "dash" {
					continue
				}
				got := f.big(t, w, padding+command)
				if got != want {
					t.Errorf("%s, %.60q:\n got %v\nwant %v", name, command, got, want)
				}
				if w.Marker != nil {
					if r := f.ended(t, f.marker()); !reflect.DeepEqual(r, Report{State: StateEnded, Cause: CauseExit, Status: uint8(want.status)}) {
						t.Errorf("%s, %.60q: settled as %+v", name, command, r)
					}
				}
				if left := f.leftovers(); len(left) > 0 {
					t.Fatalf("%s, %.60q: left %q", name, command, left)
				}
				forget(t, f)
			}
		}
	})
}

// TestBigCommandInPart: nothing of a command runs unless all of it has arrived.
func TestBigCommandInPart(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		ran := filepath.Join(f.home, "ran")
		for wrapper, w := range bigWraps(f) {
			if w.Timeout > 0 {
				continue
			}
			text, whole := request(t, w, "touch "+ran+padding)
			for name, input := range map[string]string{
				"nothing": "", "half": whole[:len(whole)/2], "all but a byte": whole[:len(whole)-1],
				"a byte more": whole + "\n", "another byte": whole[:len(whole)-1] + "#",
			} {
				got := f.run(t, text, input)
				if word, ok := ParseRefusal(nonce, []byte(got.stderr)); !ok || word != RefusedInput || got.status != StatusNoMarker {
					t.Errorf("%s, %s: %v", wrapper, name, got)
				}
				if r := f.look(t); r.State != StateAbsent {
					t.Errorf("%s, %s: it is %s", wrapper, name, r.State)
				}
				if left := f.leftovers(); len(left) > 0 || exists(ran) {
					t.Fatalf("%s, %s: left %q, ran: %v", wrapper, name, left, exists(ran))
				}
			}
		}
	})
}

// TestBigCommandInEveryLoginShell has each shell read the line and run the command.
func TestBigCommandInEveryLoginShell(t *testing.T) {
	everyLoginShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		for name, w := range bigWraps(f) {
			got := f.big(t, w, "echo first"+padding+"cat\nprintf '%s\\n' 'a \"b\" \xff\xe9é'\nexit 9")
			if want := (seen{stdout: "first\na \"b\" \xff\xe9é\n", status: 9}); got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
			if left := f.leftovers(); len(left) > 0 {
				t.Errorf("%s: left %q", name, left)
			}
			forget(t, f)
		}
	})
}

// TestBigCommandByArgument: a shell that nobody knows, and a directory with a quote, get the
// file as an argument.
func TestBigCommandByArgument(t *testing.T) {
	for name, change := range map[string]func(*far){
		"shell": func(f *far) {
			f.shell = filepath.Join(f.home, "shell of mine")
			if err := os.Symlink(needs.Program(t, "/bin/bash"), f.shell); err != nil {
				t.Fatal(err)
			}
		},
		"directory": func(f *far) {
			f.home = filepath.Join(f.home, "it's here")
			f.more = []string{"SHELL="}
			if err := os.Mkdir(f.home, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFar(t, "/bin/dash")
			change(f)
			f.withTmp(t)
			for _, w := range bigWraps(f) {
				if got := f.big(t, w, padding+"echo $# ${0##*/}; exit 3"); got != (seen{stdout: "0 cmd\n", status: 3}) {
					t.Errorf("got %v", got)
				}
				if left := f.leftovers(); len(left) > 0 {
					t.Errorf("left %q", left)
				}
				forget(t, f)
			}
		})
	}
}

// TestBigCommandEnds removes the file however the command ends.
func TestBigCommandEnds(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		for _, c := range []struct {
			command string
			marker  *Marker
			signal  syscall.Signal
		}{
			{"exec sleep 100", nil, syscall.SIGALRM},
			{"trap '' TERM; sleep 100; sleep 100", f.marker(), syscall.SIGKILL},
		} {
			w := Wrap{Nonce: nonce, Marker: c.marker, Shell: f.sh, Timeout: 2 * time.Second, Grace: time.Second}
			if got := f.big(t, w, padding+c.command); got.signal != c.signal {
				t.Errorf("%s: %v", c.command, got)
			}
			until(t, "the end of the file", func() bool { return len(f.leftovers()) == 0 })
		}
		until(t, "the end of the group", func() bool { return !f.settle(t).Left })
		forget(t, f)
		begun := filepath.Join(f.home, "begun")
		text, input := request(t, Wrap{Nonce: nonce, Marker: f.marker(), Group: true}, padding+"touch "+begun+"; sleep 100; sleep 100")
		cmd := f.command(text)
		cmd.Stdin = strings.NewReader(input)
		wait := f.start(t, cmd)
		until(t, "the command", func() bool { return exists(begun) })
		if r := f.kill(t, 0); r.Kill != KillEnded || len(f.leftovers()) > 0 {
			t.Errorf("killed as %+v, left %q", r, f.leftovers())
		}
		wait()
	})
}

// A wrapper that gets TERM when it has received the command, and has not started it, leaves no
// file, and nothing runs.
func TestBigCommandIsTerminated(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		for name, w := range bigWraps(f) {
			const start = "trap : HUP" // of runScript
			text, input := request(t, w, "echo ran"+padding)
			if before := strings.Replace(text, start, "kill -TERM $$; "+start, 1); before == text || w.Timeout > 0 {
				continue // the watch has the signals ignored
			} else if got := f.run(t, before, input); got.status != 143 || got.stdout != "" || len(f.leftovers()) > 0 {
				t.Errorf("%s: %v, left %q", name, got, f.leftovers())
			}
			for _, left := range append(f.leftovers(), f.dir()) {
				_ = os.RemoveAll(left)
			}
		}
	})
}

// TestBigCommandMeetsOthers: a marker is settled, and the wrapper gets TERM, while the command
// is on its way.
func TestBigCommandMeetsOthers(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		ran := filepath.Join(f.home, "ran")
		for _, how := range []string{"settled", "terminated"} {
			text, input := request(t, Wrap{Nonce: nonce, Marker: f.marker()}, padding+"touch "+ran)
			cmd := f.command(text)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			wait := f.start(t, cmd)
			if _, err := stdin.Write([]byte(input[:100_000])); err != nil {
				t.Fatal(err)
			}
			until(t, "the file", func() bool { return len(f.leftovers()) > 0 })
			want := RefusedInput
			if how == "settled" {
				want = RefusedSettled
				if r := f.settle(t); r.State != StateNever {
					t.Errorf("settled as %+v", r)
				}
			} else if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_, _ = stdin.Write([]byte(input[100_000:])) // fails if nobody reads any more
			_ = stdin.Close()
			wait()
			if word, _ := ParseRefusal(nonce, []byte(stderr.String())); word != want || exists(ran) || len(f.leftovers()) > 0 {
				t.Errorf("%s: refused %q, ran %v, left %q: %s", how, word, exists(ran), f.leftovers(), cmd.ProcessState)
			}
			forget(t, f)
		}
	})
}

// TestBigCommandDetached leaves the session after its command has arrived.
func TestBigCommandDetached(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		text, input := request(t, Wrap{Nonce: nonce, Marker: f.marker(), Detach: true}, "echo out"+padding+"cat; echo err >&2; exit 5")
		got := f.run(t, text, input)
		if r, err := ParseReport(nonce, []byte(got.stdout)); err != nil || !r.Accepted {
			t.Fatalf("no receipt: %v, %v", got, err)
		}
		until(t, "the end", func() bool { return f.look(t).State == StateEnded })
		question, err := f.marker().Collect(nonce, Offsets{}, 0)
		r := f.ask(t, question, err)
		if r.Status != 5 || string(r.Stdout.Bytes) != "out\n" || string(r.Stderr.Bytes) != "err\n" || len(f.leftovers()) > 0 {
			t.Errorf("collected %+v, left %q", r, f.leftovers())
		}
		if r := f.run(t, text, input[:1000]); !strings.Contains(r.stderr, "refused again") {
			t.Errorf("a second start: %v", r)
		}
	})
}
