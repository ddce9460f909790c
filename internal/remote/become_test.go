package remote

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/internal/needs"
)

// Every login shell understands the line, and passes a command on byte for byte, wrapped or not.
func TestBecomeUnderEveryLoginShell(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may become root here without being asked")
	}
	needs.Program(t, "sudo")
	needs.Program(t, "su")
	everyLoginShell(t, func(t *testing.T, f *far) {
		const command, want = "printf '%s\\n' \"it's\" '!x' '\\\\ü' $((1+1)) \"`id -un`\"; cat", "it's\n!x\n\\\\ü\n2\nroot\na\x00\xff"
		for _, m := range []Method{Sudo, Su} {
			for _, ask := range []bool{false, true} {
				b := Become{Method: m, User: "root", Nonce: nonce, Ask: ask && m == Sudo, Held: true}
				input := "a\x00\xff"
				if b.Ask {
					input = Go + input
				}
				wrapped, _, err := Wrap{Nonce: nonce, Timeout: time.Hour, Room: true}.Request(command)
				if err != nil {
					t.Fatal(err)
				}
				for what, line := range map[string]string{
					"plain": must(t)(b.Line(command, false)), "wrapped": must(t)(b.Line(wrapped, true)),
				} {
					s := f.run(t, line, input)
					before := b.Became() + "\n"
					if s.stdout != before+want || !strings.HasSuffix(s.stderr, b.Begun()+"\n"+before) || s.status != 0 {
						t.Errorf("%s by %s: %q, %q, status %d", what, m, s.stdout, s.stderr, s.status)
					}
				}
			}
		}
		b := Become{Method: Sudo, User: "root", Nonce: nonce, Ask: true}
		for _, input := range []string{"", "g", "secret\n" + Go} {
			if s := f.run(t, must(t)(b.Line("echo ran", false)), input); strings.Contains(s.stdout, "ran") || s.status != StatusNoMarker {
				t.Errorf("without Go in %q: %q, status %d", input, s.stdout, s.status)
			}
		}
	})
}

// A command whose start cannot be told is not started.
func TestBecomeWithoutOutput(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may become root here without being asked")
	}
	needs.Program(t, "sudo")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = full.Close() }()
	for _, direct := range []bool{false, true} {
		for _, stream := range []string{"none", "stdout", "stderr", "both"} {
			t.Run(fmt.Sprintf("%s, direct %t", stream, direct), func(t *testing.T) {
				began := filepath.Join(t.TempDir(), "began")
				b := Become{Method: Sudo, User: "root", Nonce: nonce, Direct: direct}
				cmd := exec.Command("/bin/sh", "-c", must(t)(b.Line("touch "+began, false))) //nolint:gosec // that is the test
				var stdout, stderr strings.Builder
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				if stream == "stdout" || stream == "both" {
					cmd.Stdout = full
				}
				if stream == "stderr" || stream == "both" {
					cmd.Stderr = full
				}
				_ = cmd.Run()
				_, err := os.Stat(began)
				if ran, want := err == nil, stream == "none"; ran != want || cmd.ProcessState.ExitCode() == 0 != want {
					t.Errorf("it ran: %t, want %t; %v", ran, want, cmd.ProcessState)
				}
				if said := strings.Contains(stderr.String(), b.Lacks("output")+"\n"); said != (stream == "stdout") {
					t.Errorf("standard error %q", stderr.String())
				}
			})
		}
	}
}

func TestBecomeLines(t *testing.T) {
	t.Parallel()
	for _, b := range []Become{
		{Method: Sudo, User: "root"},
		{Method: Sudo, User: "web_1", Ask: true},
		{Method: Sudo, User: "web", Ask: true, Terminal: true},
		{Method: Doas, User: "web"},
		{Method: Doas, User: "web", Ask: true, Terminal: true, Raw: true},
		{Method: Su, User: "web", Held: true},
		{Method: Su, User: "web$", Ask: true, Terminal: true},
		{Method: Sudo, User: "web", Direct: true},
		{Method: Sudo, User: "web", Direct: true, Ask: true},
	} {
		b.Nonce = nonce
		line := must(t)(b.Line("uptime", false))
		for i, text := range strings.Split(line, "'") {
			if i%2 == 1 && (strings.ContainsAny(text, "!\n") || strings.Contains(text, `\\`) || strings.HasSuffix(text, `\`)) {
				t.Errorf("%q", text)
			}
		}
		if n := len(line); n > BecomeRoom {
			t.Errorf("%d bytes: %q", n, line)
		}
		if _, err := b.Line(strings.Repeat("x", MaxLine-BecomeRoom), false); err != nil {
			t.Error(err)
		}
		if _, err := b.Line(strings.Repeat("x", MaxLine), false); err == nil {
			t.Error("a line that is too long is taken")
		}
	}
	for _, b := range []Become{
		{Method: "pbrun", User: "root", Nonce: nonce},
		{Method: Sudo, User: "-u", Nonce: nonce},
		{Method: Sudo, User: `a"b`, Nonce: nonce},
		{Method: Sudo, User: "root$x", Nonce: nonce}, // which the shell would take for root
		{Method: Sudo, User: "$", Nonce: nonce},
		{Method: Sudo, Nonce: nonce},
		{Method: Sudo, User: "root"},
		{Method: Doas, User: "root", Nonce: nonce, Ask: true},
		{Method: Sudo, User: "root", Nonce: nonce, Raw: true},
		{Method: Doas, User: "root", Nonce: nonce, Direct: true},
		{Method: Sudo, User: "root", Nonce: nonce, Direct: true, Held: true},
	} {
		if _, err := b.Line("uptime", false); err == nil {
			t.Errorf("%+v is taken", b)
		}
	}
}
