package cli_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	question = " where they name no other user): "
	answered = "correct horse"
)

// askFrom makes a shell ask for a password on a terminal, and waits for the
// prompt. then is the rest of the shell's script.
func askFrom(t *testing.T, then string) (p *pane, pid int) {
	t.Helper()
	_, dir, shoal := paneFleet(t)
	p = openPane(t, dir, "trap : INT; sh -c 'echo $$ >pid; exec "+shoal+"--ask-pass -f 1 true >out 2>err'; echo the end is $?"+then)
	p.await(question)
	p.hidden()
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		t.Fatal(err)
	}
	return p, pid
}

// hidden asserts that input is not echoed.
func (p *pane) hidden() {
	p.t.Helper()
	if p.termios().Lflag&unix.ECHO != 0 {
		p.t.Error("the terminal shows what is typed")
	}
}

// A signal at the prompt has its effect, and the terminal is restored.
func TestPromptAndSignals(t *testing.T) {
	for name, c := range map[string]struct {
		signal syscall.Signal
		key    string // the key that sends it; "": it is sent directly
		status string
	}{
		"INT":     {unix.SIGINT, "", "130"},
		"Ctrl-C":  {unix.SIGINT, "\x03", "130"},
		"TERM":    {unix.SIGTERM, "", "143"},
		"HUP":     {unix.SIGHUP, "", "129"},
		"QUIT":    {unix.SIGQUIT, "", "2"}, // Go's exit status for it
		"Ctrl-\\": {unix.SIGQUIT, "\x1c", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			p, pid := askFrom(t, "; read line")
			if c.key != "" {
				p.press(c.key)
			} else if err := syscall.Kill(pid, c.signal); err != nil {
				t.Fatal(err)
			}
			p.await("the end is " + c.status)
			if !p.plain() {
				t.Error("the terminal was not given back")
			}
		})
	}
}

// A signal at the prompt of shoal shell has its effect, and the terminal is restored.
func TestShellPromptAndSignals(t *testing.T) {
	_, dir, _ := paneFleet(t)
	for signal, status := range map[syscall.Signal]string{unix.SIGTERM: "143", unix.SIGHUP: "129", unix.SIGINT: "130"} {
		p := openPane(t, dir, "trap : INT; sh -c 'echo $$ >pid; exec shoal shell -F none --no-agent --known-hosts kh --identity key --hostfile hosts'; echo the end is $?; read line")
		p.await("all 20> ")
		p.awaitKeys()
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err == nil {
			err = syscall.Kill(pid, signal)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.await("the end is " + status)
		if !p.plain() {
			t.Errorf("%v: the terminal was not given back", signal)
		}
	}
}

// Ctrl-Z gives the terminal to the shell, and fg asks again; earlier input is
// not part of the answer.
func TestPromptAndSuspend(t *testing.T) {
	for name, key := range map[string]bool{"key": true, "signal": false} {
		t.Run(name, func(t *testing.T) {
			p, pid := askFrom(t, "; echo back at the shell; read line; fg; echo the end is $?")
			p.press("half an ans")
			if key {
				p.press("\x1a")
			} else if err := syscall.Kill(pid, unix.SIGTSTP); err != nil {
				t.Fatal(err)
			}
			p.await("back at the shell")
			if !p.plain() {
				t.Error("the terminal was not given back to the shell")
			}
			p.press("\n") // for the shell
			p.await(question)
			p.hidden()
			p.press(answered + "\n")
			p.await("the end is 0") // the login uses the keys
			if !p.plain() {
				t.Error("the terminal was not given back at the end")
			}
			if strings.Contains(p.text(), answered) {
				t.Error("the answer was shown")
			}
		})
	}
}
