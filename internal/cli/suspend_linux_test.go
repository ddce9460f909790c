package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/internal/ptytest"
)

// A run ends although its terminal is stopped (Ctrl-S) and it was to be
// suspended before.
func TestSuspendOnStoppedTerminal(t *testing.T) {
	f, dir, shoal := paneFleet(t)
	master, tty := ptytest.Open(t)
	defer func() { _, _ = tty.Close(), master.Close() }()
	words := append(strings.Fields(shoal), "sleep 3600")
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TERM=xterm", "HOME="+dir, "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	awaitExecs(f, 2)
	if err := unix.IoctlSetInt(int(tty.Fd()), unix.TCXONC, unix.TCOOFF); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []os.Signal{unix.SIGTSTP, unix.SIGTERM} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	end, _ := errors.AsType[*exec.ExitError](cmd.Wait())
	if end == nil || end.ExitCode() != 130 {
		t.Errorf("%v, want exit status 130", end)
	}
}

// The same for a process that asks for a password, and echo is restored.
func TestPromptOnStoppedTerminal(t *testing.T) {
	_, dir, shoal := paneFleet(t)
	master, tty := ptytest.Open(t)
	defer func() { _, _ = tty.Close(), master.Close() }()
	words := append(strings.Fields(shoal), "--ask-pass", "true")
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TERM=xterm", "HOME="+dir, "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	cmd.Stdin = tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := unix.IoctlSetInt(int(tty.Fd()), unix.TCXONC, unix.TCOOFF); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	echo := func() bool {
		mode, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return mode.Lflag&unix.ECHO != 0
	}
	for echo() {
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("%v, want the end by SIGTERM", err)
	}
	if !echo() {
		t.Error("the terminal does not show what is typed")
	}
}
