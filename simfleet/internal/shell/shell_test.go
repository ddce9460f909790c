package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

type outcome struct {
	Stdout, Stderr string
	Exit           Exit
}

func run(ctx context.Context, line, stdin string) outcome {
	var stdout, stderr bytes.Buffer
	exit := Run(ctx, line, Process{
		Host: "127.1.0.1", User: "ada", PID: "42",
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		Random: func() io.Reader { return strings.NewReader("not so random") },
	})
	return outcome{stdout.String(), stderr.String(), exit}
}

func TestRun(t *testing.T) {
	status := func(n uint32) Exit { return Exit{Status: n} }
	for _, test := range []struct {
		line, stdin string
		want        outcome
	}{
		{line: "", want: outcome{}},
		{line: " \t\n# nothing", want: outcome{}},
		{line: "echo hello  world 7", want: outcome{Stdout: "hello world 7\n"}},
		{line: "echo", want: outcome{Stdout: "\n"}},
		{line: "echo -n x", want: outcome{Stdout: "x"}},
		{line: `echo 'a  b' "c  d" e\ \ f ''`, want: outcome{Stdout: "a  b c  d e  f \n"}},
		{line: `echo "a\"b\$\\c\d" 'x\y' \'`, want: outcome{Stdout: `a"b$\c\d x\y '` + "\n"}},
		{line: "echo a\\\nb \\\n c", want: outcome{Stdout: "ab c\n"}},
		{line: "echo '$$ `;&|' a#b", want: outcome{Stdout: "$$ `;&| a#b\n"}},
		{line: "echo $$ \"$$\" '$$' $", want: outcome{Stdout: "42 42 $$ $\n"}},
		{line: "echo \xff\x80\x00 '\x00'", want: outcome{Stdout: "\xff\x80\x00 \x00\n"}},
		{line: "echo \xff\x80", want: outcome{Stdout: "\xff\x80\n"}},
		{line: "echo oops >&2", want: outcome{Stderr: "oops\n"}},
		{line: "1>&2 echo oops; echo fine", want: outcome{Stdout: "fine\n", Stderr: "oops\n"}},
		{line: "echo oops>&2&&echo ok", want: outcome{Stdout: "ok\n", Stderr: "oops\n"}},
		{line: "foo 2>&1", want: outcome{Stdout: "sh: foo: not found\n", Exit: status(127)}},
		{line: "true", want: outcome{}},
		{line: "sha256sum", stdin: "abc", want: outcome{Stdout: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n"}},
		{line: "sha256sum f", want: outcome{Stderr: "sha256sum: only standard input is known here\n", Exit: status(1)}},
		{line: "false", want: outcome{Exit: status(1)}},
		{line: "false; echo $?; echo $?", want: outcome{Stdout: "1\n0\n"}},
		{line: "false && echo a || echo b && echo c", want: outcome{Stdout: "b\nc\n"}},
		{line: "true || echo a; false &&\necho b", want: outcome{Exit: status(1)}},
		{line: "exit 3; echo never", want: outcome{Exit: status(3)}},
		{line: "exit 256", want: outcome{}},
		{line: "false; exit", want: outcome{Exit: status(1)}},
		{line: "exit x; echo never", want: outcome{Stderr: "sh: exit: Illegal number: x\n", Exit: status(2)}},
		{line: "foo bar", want: outcome{Stderr: "sh: foo: not found\n", Exit: status(127)}},
		{line: "hostname; whoami", want: outcome{Stdout: "127.1.0.1\nada\n"}},
		{line: "cat", stdin: "a\x00b", want: outcome{Stdout: "a\x00b"}},
		{line: "cat x", want: outcome{Stderr: "cat: x: No such file or directory\n", Exit: status(1)}},
		{line: "head -c 3", stdin: "abcdef", want: outcome{Stdout: "abc"}},
		{line: "head -c3 -; cat", stdin: "abcdef", want: outcome{Stdout: "abcdef"}},
		{line: "head -c 4 /dev/zero", want: outcome{Stdout: "\x00\x00\x00\x00"}},
		{line: "head -c 2K /dev/zero", want: outcome{Stdout: strings.Repeat("\x00", 2048)}},
		{line: "head -c 70000 /dev/zero", want: outcome{Stdout: strings.Repeat("\x00", 70000)}},
		{line: "head -c 7 /dev/urandom", want: outcome{Stdout: "not so "}},
		{line: "head -c 1 /etc/passwd", want: outcome{Stderr: "head: cannot open '/etc/passwd' for reading: No such file or directory\n", Exit: status(1)}},
		{line: "head -c 9999999999G /dev/zero", want: outcome{Stderr: "head: invalid number of bytes: '9999999999G'\n", Exit: status(1)}},
		{line: "head", want: outcome{Stderr: "head: only -c N [FILE] is known here\n", Exit: status(1)}},
		{line: "kill -KILL $$; echo never", want: outcome{Exit: Exit{Signal: "KILL"}}},
		{line: "kill -SIGHUP $$", want: outcome{Exit: Exit{Signal: "HUP"}}},
		{line: "kill -9 $$", want: outcome{Exit: Exit{Signal: "KILL"}}},
		{line: "kill $$", want: outcome{Exit: Exit{Signal: "TERM"}}},
		{line: "kill -NONE $$", want: outcome{Stderr: "kill: NONE: invalid signal specification\n", Exit: status(1)}},
		{line: "kill 1", want: outcome{Stderr: "kill: (1) - No such process\n", Exit: status(1)}},
		{line: "kill", want: outcome{Stderr: "kill: usage: kill [-SIGNAL] $$\n", Exit: status(2)}},
		{line: "sleep", want: outcome{Stderr: "sleep: missing operand\n", Exit: status(1)}},
		{line: "sleep 0 0.0s && echo up", want: outcome{Stdout: "up\n"}},
		{line: "sleep -1", want: outcome{Stderr: "sleep: invalid time interval '-1'\n", Exit: status(1)}},
		{line: "sleep nan", want: outcome{Stderr: "sleep: invalid time interval 'nan'\n", Exit: status(1)}},
		{line: `printf 'a\tb\n\x1b[31m\101\\'`, want: outcome{Stdout: "a\tb\n\x1b[31mA\\"}},
		{line: `printf '%s=%d;' a 1 b -2 c`, want: outcome{Stdout: "a=1;b=-2;c=0;"}},
		{line: `printf '%b|%c|%x|%u|%%' '\xff\0101\q' xyz 255 7`, want: outcome{Stdout: "\xffA\\q|x|ff|7|%"}},
		{line: `printf '\0101\777'`, want: outcome{Stdout: "\x081\xff"}},
		{line: `printf 'no verbs\n' a b`, want: outcome{Stdout: "no verbs\n"}},
		{line: `printf 'ab%'`, want: outcome{Stdout: "ab", Stderr: "printf: %: missing format character\n", Exit: status(1)}},
		{line: `printf %z`, want: outcome{Stderr: "printf: %z: invalid format character\n", Exit: status(1)}},
		{line: `printf %d x`, want: outcome{Stderr: "printf: 'x': expected a numeric value\n", Exit: status(1)}},
		{line: `printf '\'`, want: outcome{Stdout: `\`}},
		{line: "printf", want: outcome{Stderr: "printf: usage: printf FORMAT [WORD...]\n", Exit: status(2)}},
	} {
		t.Run(test.line, func(t *testing.T) {
			if diff := cmp.Diff(test.want, run(t.Context(), test.line, test.stdin)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.line, diff)
			}
		})
	}
}

func TestSyntaxErrors(t *testing.T) {
	for line, want := range map[string]string{
		"echo a | cat":   `'|' is not known here`,
		"echo a &":       `'&' is not known here`,
		"echo a > f":     `'>' is not known here`,
		"echo 11>&2":     `'>' is not known here`,
		"cat < f":        `'<' is not known here`,
		"echo $HOME":     `'$' is not known here`,
		"echo \"$(id)\"": `'$' is not known here`,
		"echo `id`":      "'`' is not known here",
		"(true)":         `'(' is not known here`,
		"echo 'a":        `'\'' is not closed`,
		`echo "a`:        `'"' is not closed`,
		"true &&":        "end of line unexpected",
		"&& true":        "a command is missing",
		"true;; true":    "a command is missing",
		">&2":            "a command is missing",
		"echo >&22":      "only >&2 and 2>&1 are known here",
	} {
		got := run(t.Context(), line, "")
		wanted := outcome{Stderr: "sh: syntax error: " + want + "\n", Exit: Exit{Status: 2}}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestSleepTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for line, want := range map[string]time.Duration{
			"sleep 1.25":           1250 * time.Millisecond,
			"sleep 1 2m; sleep 1h": time.Hour + 121*time.Second,
		} {
			start := time.Now()
			if got := run(t.Context(), line, ""); got != (outcome{}) {
				t.Errorf("%s: %+v, want nothing printed and status 0", line, got)
			}
			if took := time.Since(start); took != want {
				t.Errorf("%s took %v, want %v", line, took, want)
			}
		}
	})
}

func TestContextBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, line := range []string{"sleep infinity", "sleep 1e300", "sleep 1; sleep 1; sleep 1; echo never"} {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			start := time.Now()
			got := run(ctx, line, "")
			cancel()
			if want := (outcome{Exit: Exit{Broken: true}}); got != want {
				t.Errorf("%s: got %+v, want %+v", line, got, want)
			}
			if took := time.Since(start); took != 1500*time.Millisecond {
				t.Errorf("%s ended after %v, want 1.5s", line, took)
			}
		}
	})
}

// full takes as many bytes as it says and then fails.
type full int

func (f *full) Write(p []byte) (int, error) {
	if len(p) > int(*f) {
		return 0, errors.New("full")
	}
	*f -= full(len(p))
	return len(p), nil
}

func TestOutputThatFailsBreaksOff(t *testing.T) {
	for _, line := range []string{
		"yes", "yes long words", "head -c 1G /dev/zero; echo never", "printf %s " + strings.Repeat("x", 5000),
	} {
		room := full(4096)
		exit := Run(t.Context(), line, Process{
			Stdin: strings.NewReader(""), Stdout: &room, Stderr: &room, Random: nil,
		})
		if want := (Exit{Broken: true}); exit != want {
			t.Errorf("%s: got %+v, want %+v", line[:4], exit, want)
		}
	}
}

func TestFatal(t *testing.T) {
	for name, want := range map[string]bool{"TERM": true, "USR2": true, "WINCH": false, "9": false, "": false} {
		if got := Fatal(name); got != want {
			t.Errorf("Fatal(%q) = %v, want %v", name, got, want)
		}
	}
}

// FuzzRun asserts that no line makes the shell panic or run on: time is virtual
// and ends, and the outputs take 1 MiB.
func FuzzRun(f *testing.F) {
	for _, line := range []string{
		"echo hello world; exit 3", `printf '%b\x41%d' '\0101' 7 >&2`, "false && yes || sleep 1e9",
		"head -c 9G /dev/zero", `echo "a'b" 'c"d' \e $$ $?`, "kill -9 $$", "cat 2>&1 # x", "a\n\nb;",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			room := full(1 << 20)
			exit := Run(ctx, line, Process{
				Host: "h", User: "u", PID: "1", Stdin: strings.NewReader(line), Stdout: &room, Stderr: &room,
				Random: func() io.Reader { return strings.NewReader(line) },
			})
			if exit.Status > 255 || exit.Signal != "" && !Fatal(exit.Signal) {
				t.Errorf("%q ended in %+v", line, exit)
			}
		})
	})
}
