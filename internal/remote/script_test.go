package remote

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/internal/needs"
)

func script(t *testing.T, text string) *Script {
	t.Helper()
	s, err := NewScript([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scripted runs a script with arguments, as words for sh, and input.
func (f *far) scripted(t *testing.T, w Wrap, text, words, input string) seen {
	t.Helper()
	w.Script = script(t, text)
	line, before, err := withInput(w, input).Request("name " + words)
	if before != "" {
		t.Fatalf("%d bytes to send", len(before))
	}
	got := f.run(t, must(t)(line, err), text+input)
	before, behind, began := strings.Cut(got.stderr, ScriptStarted(nonce))
	if _, refused := ParseRefusal(nonce, []byte(got.stderr)); began == (refused || w.Detach) || began && before != "" {
		t.Errorf("it has begun: %v; refused: %v; stderr %q", began, refused, got.stderr)
	}
	got.stderr = before + behind
	if out, said := strings.CutPrefix(got.stdout, ScriptStarted(nonce)); said == began {
		got.stdout = out
	} else {
		t.Errorf("it has begun: %v, stdout %q", began, got.stdout)
	}
	return got
}

// scripts show their arguments, and all of what they read.
var scripts = map[string]string{
	"plain":     "for a; do printf '%s|' \"$a\"; done; cat; exit 9\n",
	"sh":        "#!/bin/sh -eu\nfor a; do printf '%s|' \"$a\"; done; cat; false || exit 9\n",
	"long":      "#! /bin/sh" + padding + "for a; do printf '%s|' \"$a\"; done; cat; exit 9",
	"no end":    "#!/bin/sh\n# \x00\xff'\"\\!\nfor a; do printf '%s|' \"$a\"; done; cat; exit 9",
	"env":       "#!/usr/bin/env python3\nimport sys,os\nfor a in sys.argv[1:]: os.write(1, os.fsencode(a) + b'|')\nos.write(1, sys.stdin.buffer.read())\nsys.exit(9)\n",
	"env split": "#!/usr/bin/env -S awk -f\nBEGIN { for (i = 1; i < ARGC; i++) printf \"%s|\", ARGV[i]; fflush(); system(\"cat\"); exit 9 }\n",
}

// testScript runs every kind of script under every wrapper.
func (f *far) testScript(t *testing.T) {
	t.Helper()
	f.withTmp(t)
	needs.Program(t, "/usr/bin/python3")
	const words, shown = `'a  b' '' '$HOME' 'it'\''s' '!x\y' '"*' 'ü'`, `a  b||$HOME|it's|!x\y|"*|ü|`
	for name, text := range scripts {
		for wrapper, w := range bigWraps(f) {
			if wrapper != "all" && (!f.thorough() || name != "sh") {
				continue
			}
			for _, input := range []string{"", inputOf(5000)} {
				if got := f.scripted(t, w, text, words, input); got.stdout != shown+input || got.stderr != "" || got.status != 9 {
					t.Errorf("%s, %s, %d bytes: %v", name, wrapper, len(input), got)
				}
				if left := f.leftovers(); len(left) > 0 {
					t.Errorf("%s, %s: left %q", name, wrapper, left)
				}
				forget(t, f)
			}
		}
	}
}

func TestScriptInEveryShell(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) { f.testScript(t) })
}

func TestScriptInEveryLoginShell(t *testing.T) {
	everyLoginShell(t, func(t *testing.T, f *far) { f.testScript(t) })
}

// TestScriptInPart: nothing of a script runs unless all of it has arrived.
func TestScriptInPart(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		ran := filepath.Join(f.home, "ran")
		whole := "touch " + ran + padding
		for wrapper, w := range bigWraps(f) {
			if w.Timeout > 0 {
				continue
			}
			w.Script = script(t, whole)
			line := must(t)(w.Line("name"))
			for name, sent := range map[string]string{
				"nothing": "", "half": whole[:len(whole)/2], "all but a byte": whole[:len(whole)-1],
				"a byte more": whole + "\n", "another byte": whole[:len(whole)-1] + "#",
			} {
				got := f.run(t, line, sent)
				if word, ok := ParseRefusal(nonce, []byte(got.stderr)); !ok || word != RefusedInput || got.stdout != "" {
					t.Errorf("%s, %s: %v", wrapper, name, got)
				}
				if r := f.look(t); r.State != StateAbsent || len(f.leftovers()) > 0 || exists(ran) {
					t.Fatalf("%s, %s: it is %s, left %q, ran: %v", wrapper, name, r.State, f.leftovers(), exists(ran))
				}
			}
		}
	})
}

// TestScriptIsPrivate: nobody else can read the script, and its children do not read it.
func TestScriptIsPrivate(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		text := "ls -ld \"${0%/*}\" \"$0\" | cut -c 1-9\numask\nwc -c\nwhile read -r line; do echo \"$line\"; done\necho last"
		f.more = append(f.more, "LC_ALL=C")
		for wrapper, w := range bigWraps(f) {
			w.Place = &Place{Umask: "0002"}
			if got := f.scripted(t, w, text, "", ""); got.stdout != "drwx-----\n-rw------\n0002\n0\nlast\n" {
				t.Errorf("%s: %v", wrapper, got)
			}
			forget(t, f)
		}
	})
}

// TestScriptEnds removes the script however it ends: by itself while a job of it runs on, by a
// signal to its group, at the end of its time, and killed.
func TestScriptEnds(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		gate := filepath.Join(f.home, "gate")
		job := "(until [ -e " + gate + " ]; do sleep 0.1; done) >/dev/null 2>&1 &\nexit 3"
		if got := f.scripted(t, Wrap{Nonce: nonce, Shell: f.sh}, job, "", ""); got.status != 3 || len(f.leftovers()) > 0 {
			t.Errorf("with a job: %v, left %q", got, f.leftovers())
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := f.scripted(t, Wrap{Nonce: nonce, Shell: f.sh}, "kill -TERM 0; exit 4", "", ""); got.status != 128+15 || len(f.leftovers()) > 0 {
			t.Errorf("terminated: %v, left %q", got, f.leftovers())
		}
		w := Wrap{Nonce: nonce, Shell: f.sh, Timeout: time.Second, Grace: time.Second}
		if got := f.scripted(t, w, "exec sleep 100", "", ""); got.signal != syscall.SIGALRM {
			t.Errorf("timed out: %v", got)
		}
		until(t, "the end of the file", func() bool { return len(f.leftovers()) == 0 })

		begun := filepath.Join(f.home, "begun")
		text := "touch " + begun + "; sleep 100; sleep 100"
		killed := Wrap{Nonce: nonce, Marker: f.marker(), Group: true, Script: script(t, text)}
		cmd := f.command(must(t)(killed.Line("name")))
		cmd.Stdin = strings.NewReader(text)
		wait := f.start(t, cmd)
		until(t, "the script", func() bool { return exists(begun) })
		if r := f.kill(t, 0); r.Kill != KillEnded || len(f.leftovers()) > 0 {
			t.Errorf("killed as %+v, left %q", r, f.leftovers())
		}
		wait()
	})
}

// TestScriptDetached starts when script and input have arrived.
func TestScriptDetached(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		for _, input := range []string{"", inputOf(5000)} {
			got := f.scripted(t, Wrap{Nonce: nonce, Marker: f.marker(), Detach: true, Timeout: time.Hour}, scripts["sh"], "'a b'", input)
			if r, err := ParseReport(nonce, []byte(got.stdout)); err != nil || !r.Accepted {
				t.Fatalf("no receipt: %v, %v", got, err)
			}
			until(t, "the end", func() bool { r := f.settle(t); return r.State == StateEnded && !r.Left })
			question, err := f.marker().Collect(nonce, Offsets{}, 0)
			if r := f.ask(t, question, err); string(r.Stdout.Bytes) != "a b|"+input || len(r.Stderr.Bytes) > 0 || r.Status != 9 {
				t.Errorf("%d bytes: %.100q, %.100q, status %d", len(input), r.Stdout.Bytes, r.Stderr.Bytes, r.Status)
			}
			if left := f.leftovers(); len(left) > 0 {
				t.Errorf("left %q", left)
			}
			forget(t, f)
		}
	})
}

// TestScriptPlace: variables, directory and umask are those that were asked for.
func TestScriptPlace(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		p := Place{Env: []string{"ODD=a'b\\ \n!c", "_m=x", "_I=y"}, Dir: f.home, Umask: "027"}
		text := "#!/usr/bin/env sh\nprintenv ODD _m _I; pwd; umask; echo $#"
		want := seen{stdout: "a'b\\ \n!c\nx\ny\n" + f.home + "\n0027\n2\n"}
		for wrapper, w := range placeWraps(f, p) {
			if w.Detach {
				continue
			}
			if got := f.scripted(t, w, text, "a 'b c'", ""); got != want {
				t.Errorf("%s: got %v, want %v", wrapper, got, want)
			}
			forget(t, f)
		}
		w := Wrap{Nonce: nonce, Shell: f.sh, Place: &Place{Dir: "/no/such"}}
		if word, _ := ParseRefusal(nonce, []byte(f.scripted(t, w, text, "", "").stderr)); word != RefusedChdir || len(f.leftovers()) > 0 {
			t.Errorf("refused %q, left %q", word, f.leftovers())
		}
	})
}

// TestScriptWithoutInterpreter claims nothing.
func TestScriptWithoutInterpreter(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		for wrapper, w := range bigWraps(f) {
			got := f.scripted(t, w, "#!/no/such/program\n", "", "")
			if word, _ := ParseRefusal(nonce, []byte(got.stderr)); word != RefusedInterpreter || f.look(t).State != StateAbsent || len(f.leftovers()) > 0 {
				t.Errorf("%s: %v, left %q", wrapper, got, f.leftovers())
			}
		}
	})
}

// TestBinary: an ELF file is executed, for this machine only, and where that is possible.
func TestBinary(t *testing.T) {
	name, err := exec.LookPath("printf")
	if err != nil {
		t.Skip(err)
	}
	elf, err := os.ReadFile(name)
	if err != nil || script(t, string(elf)).machine == "" {
		t.Skipf("%s is no ELF file: %v", name, err)
	}
	other := []byte(string(elf))
	other[18] ^= 0x55
	everyShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		for wrapper, w := range bigWraps(f) {
			if got := f.scripted(t, w, string(elf), `'%s|' 'a b' 'it'\''s'`, ""); got != (seen{stdout: "a b|it's|"}) || len(f.leftovers()) > 0 {
				t.Errorf("%s: %v, left %q", wrapper, got, f.leftovers())
			}
			forget(t, f)
			got := f.scripted(t, w, string(other), "x", "")
			if word, _ := ParseRefusal(nonce, []byte(got.stderr)); word != RefusedMachine || f.look(t).State != StateAbsent || len(f.leftovers()) > 0 {
				t.Errorf("%s, another machine: %v, left %q", wrapper, got, f.leftovers())
			}
		}
	})
}

func TestNewScript(t *testing.T) {
	for text, want := range map[string][2]string{
		"echo":                                 {"/bin/sh"},
		"#!/bin/sh -eu\n":                      {"/bin/sh", "-eu"},
		"#! \t/usr/bin/awk  -f \nx":            {"/usr/bin/awk", "-f"},
		"#!/usr/bin/env -S a  b\n":             {"/usr/bin/env", "-S a  b"},
		"#!/bin/sh":                            {"/bin/sh"},
		"echo\r\n":                             {"/bin/sh"},
		"\x7fELF" + strings.Repeat("\x01", 20): {},
	} {
		s, err := NewScript([]byte(text))
		if err != nil || !reflect.DeepEqual([2]string{s.interpreter, s.argument}, want) || s.Size() != int64(len(text)) {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
	for text, want := range map[string]string{
		"":                                      "it is empty",
		"#!/bin/sh\r\necho\r\n":                 "ends in CR LF, and no system has an interpreter of that name\nhint: convert it",
		"#!\nx":                                 `names "", which is no absolute path`,
		"#!sh\n":                                `names "sh", which`,
		"\xef\xbb\xbf#!/bin/sh\n":               "byte order mark",
		"\xff\xfee\x00c\x00":                    "it has NUL bytes",
		"#!/bin/sh\x00\n":                       "NUL byte",
		"#!/" + strings.Repeat("a", 300) + "\n": "more than 255 bytes",
		strings.Repeat("x", MaxScript+1):        "of at most 67108864",
	} {
		if _, err := NewScript([]byte(text)); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}
