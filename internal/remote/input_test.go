package remote

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inputOf returns n reproducible random bytes, which every shell would change or interpret.
func inputOf(n int) string {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p)
	return string(p)
}

// withInput returns w for a command that gets input.
func withInput(w Wrap, input string) Wrap {
	w.Input, w.InputDigest = int64(len(input)), fmt.Sprintf("%x", sha256.Sum256([]byte(input)))
	return w
}

// thorough reports whether to try every wrapper here: elsewhere one that has all parts does.
func (f *far) thorough() bool { return filepath.Base(f.program) == "dash" && f.shell == "" }

// given returns what a command with this input shows, whether it is short or long.
func (f *far) given(t *testing.T, w Wrap, command, input string) seen {
	t.Helper()
	text, before, err := withInput(w, input).Request(command)
	return f.run(t, must(t)(text, err), before+input)
}

// detachedWith runs a detached command to its end.
func (f *far) detachedWith(t *testing.T, command, input string) (stdout string) {
	t.Helper()
	got := f.given(t, Wrap{Nonce: nonce, Marker: f.marker(), Detach: true, Timeout: time.Hour}, command, input)
	if r, err := ParseReport(nonce, []byte(got.stdout)); err != nil || !r.Accepted {
		t.Fatalf("no receipt: %v, %v", got, err)
	}
	until(t, "the end", func() bool { return f.look(t).State == StateEnded })
	question, err := f.marker().Collect(nonce, Offsets{}, 0)
	r := f.ask(t, question, err)
	if len(r.Stderr.Bytes) > 0 || r.Status != 9 {
		t.Errorf("%.40q: collected %q, status %d", command, r.Stderr.Bytes, r.Status)
	}
	until(t, "the end of its group", func() bool { return !f.settle(t).Left })
	return string(r.Stdout.Bytes)
}

// testInput checks that each wrapper passes the input on to short and long commands.
func (f *far) testInput(t *testing.T) {
	t.Helper()
	f.withTmp(t)
	for _, input := range []string{inputOf(5000), inputOf(300_000)} {
		for name, command := range map[string]string{"short": "cat; cat; exit 9", "long": "cat" + padding + "cat; exit 9"} {
			for wrapper, w := range bigWraps(f) {
				if wrapper != "all" && (len(input) > 5000 || !f.thorough()) {
					continue
				}
				if got := f.given(t, w, command, input); got.stdout != input || got.stderr != "" || got.status != 9 {
					t.Errorf("%s, %s, %d bytes: got %d bytes, %v", name, wrapper, len(input), len(got.stdout), got)
				}
				forget(t, f)
			}
			if got := f.detachedWith(t, command, input); got != input {
				t.Errorf("%s, detached, %d bytes: got %d, %.100q", name, len(input), len(got), got)
			}
			if left := f.leftovers(); len(left) > 0 {
				t.Errorf("%s: left %q", name, left)
			}
			forget(t, f)
		}
	}
}

// TestInputInEveryShell and TestInputInEveryLoginShell: input is the same, byte by byte, for
// every shell and wrapper.
func TestInputInEveryShell(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) { f.testInput(t) })
}

func TestInputInEveryLoginShell(t *testing.T) {
	everyLoginShell(t, func(t *testing.T, f *far) { f.testInput(t) })
}

// TestInputOfABackgroundJob: a job that is started with & takes no input from the command, in
// the shells that promise it (all but zsh).
func TestInputOfABackgroundJob(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		input := inputOf(5000)
		want := seen{stdout: "0\n" + input, status: 9}
		if filepath.Base(f.program) == "zsh" {
			want.stdout = "5000\n"
		}
		for name, padding := range map[string]string{"short": "", "long": padding} {
			for wrapper, w := range bigWraps(f) {
				if wrapper != "all" && !f.thorough() {
					continue
				}
				if got := f.given(t, w, "wc -c & wait"+padding+"\ncat; exit 9", input); got != want {
					t.Errorf("%s, %s: got %v, want %v", name, wrapper, got, want)
				}
				forget(t, f)
			}
		}
	})
}

// TestInputInPart: a detached command does not start unless its input is there completely.
func TestInputInPart(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		ran := filepath.Join(f.home, "ran")
		for name, command := range map[string]string{"short": "touch " + ran, "long": "touch " + ran + padding} {
			input := inputOf(5000)
			w := withInput(Wrap{Nonce: nonce, Marker: f.marker(), Detach: true}, input)
			text, before, err := w.Request(command)
			if err != nil {
				t.Fatal(err)
			}
			for what, sent := range map[string]string{
				"nothing": "", "half": input[:2500], "another byte": input[:4999] + string(input[4999]+1), "a byte more": input + "x",
			} {
				got := f.run(t, text, before+sent)
				if word, ok := ParseRefusal(nonce, []byte(got.stderr)); !ok || word != RefusedInput || got.stdout != "" {
					t.Errorf("%s, %s: %v", name, what, got)
				}
				if r := f.look(t); r.State != StateAbsent || exists(ran) {
					t.Errorf("%s, %s: it is %s, ran %v", name, what, r.State, exists(ran))
				}
			}
		}
	})
}

// TestInputIsNotRead: a command that does not read its input, or not all of it, ends as it
// would without any.
func TestInputIsNotRead(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		input := inputOf(300_000)
		for command, stdout := range map[string]string{
			"head -c 1024; exit 9": input[:1024], "echo early; exit 9": "early\n", "exec <&-; echo closed; exit 9": "closed\n",
		} {
			for wrapper, w := range bigWraps(f) {
				if wrapper != "all" && !f.thorough() {
					continue
				}
				if got := f.given(t, w, command+padding, input); got.stdout != stdout || got.status != 9 {
					t.Errorf("%s, %s: %v", wrapper, command, got)
				}
				forget(t, f)
			}
		}
	})
}

// TestSweepsStoredInput: a wrapper that was killed while it stored the input leaves a marker
// that is swept with that part of the input.
func TestSweepsStoredInput(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		marker := filepath.Join(f.dir(), f.marker().name())
		old := time.Now().Add(-time.Hour)
		if err := errors.Join(os.MkdirAll(f.dir(), 0o700), os.Mkdir(marker, 0o700),
			os.WriteFile(filepath.Join(marker, "in"), []byte("a part"), 0o600), os.Chtimes(marker, old, old)); err != nil {
			t.Fatal(err)
		}
		question, err := Sweep(nonce, "", 30*time.Minute)
		if r := f.ask(t, strings.Replace(question, "/bin/sh", f.sh, 1), err); r.Removed != 1 || r.Remaining != 0 || exists(marker) {
			t.Errorf("%+v, the marker is there: %v", r, exists(marker))
		}
	})
}
