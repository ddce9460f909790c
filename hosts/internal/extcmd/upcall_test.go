package extcmd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shoal/hosts/internal/extcmd"
	"shoal/internal/hint"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestShell(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		command, want, err, hint string
		limits                   extcmd.Limits
	}{
		{command: "echo a; echo b >&2", want: "a\n"},
		{command: "pwd", want: dir + "\n"},
		{command: "cat", want: ""},
		{command: "echo first >&2; echo last >&2; exit 7", err: `it ended with exit status 7 and said "last"`, hint: "run it by hand"},
		{command: "exit 1", err: "it ended with exit status 1", hint: "run it by hand"},
		{command: "kill -9 $$", err: "it ended with signal: killed", hint: "run it by hand"},
		{command: "sleep 600", err: "still running after 30ms", hint: "allow it more time, or ask why it hangs", limits: extcmd.Limits{Timeout: 30 * time.Millisecond}},
		{command: "sleep 600 & wait", err: "still running after 30ms", hint: "allow it more time, or ask why it hangs", limits: extcmd.Limits{Timeout: 30 * time.Millisecond}},
		{
			command: "echo a; sleep 600 &", err: "it ended, and something that it left running still held its output: this may not be all",
			hint: "redirect the output of what it starts in the background, or have it wait",
		},
		{command: "yes", err: "more than 100 bytes of output", hint: "is this the right command?", limits: extcmd.Limits{Output: 100}},
		{command: "printf 12345", want: "12345", limits: extcmd.Limits{Output: 5}},
		{command: "printf 123456", err: "more than 5 bytes of output", hint: "is this the right command?", limits: extcmd.Limits{Output: 5}},
	} {
		out, err := extcmd.Shell(t.Context(), c.command, dir, c.limits)
		if string(out) != c.want {
			t.Errorf("%s: printed %q, want %q", c.command, out, c.want)
		}
		if got := errorText(err); got != c.err || hint.Of(err) != c.hint {
			t.Errorf("%s: error %q, hint %q; want %q, %q", c.command, got, hint.Of(err), c.err, c.hint)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := extcmd.Shell(ctx, "echo a", "", extcmd.Limits{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prog")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nprintf '%s|' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := extcmd.Program(t.Context(), []string{path, "--host", "a b;$(id)"}, "", extcmd.Limits{})
	if err != nil || string(out) != "--host|a b;$(id)|" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := extcmd.Program(t.Context(), []string{path + "x"}, "", extcmd.Limits{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

// TestNothingIsLeft: what a program leaves in the background ends with it.
func TestNothingIsLeft(t *testing.T) {
	out, err := extcmd.Shell(t.Context(), "sleep 600 >/dev/null 2>&1 & echo $!", "", extcmd.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if errors.Is(err, os.ErrNotExist) || strings.Contains(string(state), ") Z ") || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there: %s", pid, state)
		}
	}
}

func TestWord(t *testing.T) {
	for text, good := range map[string]bool{
		"web": true, "a-b_c.d:e@f+g%h": true, "fe80::1": true,
		"": false, "-n": false, "a b": false, "a/b": false, "a;b": false, "a\nb": false, "$x": false, "`x`": false, "a'b": false, "é": false, "a\x00": false,
		strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if err := extcmd.Word(text); (err == nil) != good {
			t.Errorf("Word(%q): %v", text, err)
		}
	}
	for text, good := range map[string]bool{"/etc/clustershell": true, "/a b": false, "/a$b": false, "": false, "-x": false, "/a,b=c": true} {
		if err := extcmd.Path(text); (err == nil) != good {
			t.Errorf("Path(%q): %v", text, err)
		}
	}
}

// A program that takes long is said to be waited for, once.
func TestWaiting(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "open")
	told := make(chan string, 9) // sent by the timer
	limits := extcmd.Limits{Waiting: func(program string) {
		told <- program
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Error(err)
		}
	}}
	if _, err := extcmd.Shell(t.Context(), "true", "", limits); err != nil || len(told) > 0 {
		t.Errorf("a short one: told %d times, %v", len(told), err)
	}
	command := "until [ -e " + gate + " ]; do sleep 0.05; done; echo web1" // ends once it is told of
	out, err := extcmd.Shell(t.Context(), command, "", limits)
	if first := <-told; err != nil || string(out) != "web1\n" || len(told) != 0 || !strings.Contains(first, command) {
		t.Errorf("%q, %v, told %q and %d others", out, err, first, len(told))
	}
}
