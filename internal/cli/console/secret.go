package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ask asks for a secret on the terminal, without echo.
func ask(text string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("no terminal to ask on: %w", err)
	}
	defer func() { _ = tty.Close() }()
	defer stay()
	return newSecretPrompt(tty, text).ask()
}

// newSecretPrompt returns a prompt for one secret on tty.
func newSecretPrompt(tty *os.File, text string) *secretPrompt {
	return &secretPrompt{
		tty: tty, fd: int(tty.Fd()), text: text, signals: make(chan os.Signal, 8), over: make(chan struct{}),
	}
}

// A secretPrompt asks for a secret on a terminal. Like readpassphrase(3), it
// turns echo off and discards pending input before it asks, so that no part of
// an answer is ever shown. It restores the mode before a signal has its effect,
// because the mode belongs to the terminal and outlives the process.
type secretPrompt struct {
	tty  *os.File
	fd   int
	text string

	signals chan os.Signal // sent by package signal
	over    chan struct{}  // closed when the answer was read
	watcher sync.WaitGroup

	mu    sync.Mutex
	found *unix.Termios // the mode before ours; nil while ours is not set
}

// ask prints the prompt and reads the answer.
func (q *secretPrompt) ask() ([]byte, error) {
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGTSTP} {
		if !signal.Ignored(s) {
			signal.Notify(q.signals, s)
		}
	}
	signal.Notify(q.signals, unix.SIGCONT)
	q.watcher.Go(q.watch)
	answer, err := q.answer()
	close(q.over)
	q.watcher.Wait()
	q.reveal()
	signal.Stop(q.signals)
	return answer, err
}

func (q *secretPrompt) answer() ([]byte, error) {
	if err := q.pose(); err != nil {
		return nil, fmt.Errorf("asking on the terminal: %w", err)
	}
	answer, err := readTyped(q.tty)
	_, _ = fmt.Fprintln(q.tty) // the line break that was typed was not echoed
	return answer, err
}

// pose turns echo off and prints the prompt. It is repeated after a stop,
// because the shell sets a mode of its own.
func (q *secretPrompt) pose() error {
	if err := q.hide(); err != nil {
		return err
	}
	_, err := io.WriteString(q.tty, q.text) // without mu: a stopped terminal blocks
	return err
}

func (q *secretPrompt) hide() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, err := unix.IoctlGetTermios(q.fd, GetTermios)
	if err != nil {
		return err
	}
	mode := *now
	mode.Lflag &^= unix.ECHO | unix.ECHONL
	mode.Lflag |= unix.ICANON | unix.ISIG
	mode.Iflag |= unix.ICRNL
	if q.found == nil || *now != mode {
		q.found = now
	}
	return unix.IoctlSetTermios(q.fd, setFlushed, &mode)
}

// reveal restores the mode.
func (q *secretPrompt) reveal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.found != nil {
		_ = unix.IoctlSetTermios(q.fd, SetTermios, q.found)
		q.found = nil
	}
}

// watch performs each signal's default action, with the terminal restored.
func (q *secretPrompt) watch() {
	var resumed <-chan time.Time // fires when the process was not stopped after all
	for {
		select {
		case <-q.over:
			return
		case <-resumed:
			resumed = nil
			_ = q.pose() // the read reports what is wrong with the terminal
		case s := <-q.signals:
			switch s {
			case unix.SIGCONT:
				resumed = nil
				_ = q.pose()
			case unix.SIGTSTP:
				q.reveal()
				StopProcess()
				resumed = time.After(time.Second)
			default:
				q.reveal()
				q.newline()
				DieOf(s)
			}
		}
	}
}

// newline ends the prompt's line, unless the terminal blocks.
func (q *secretPrompt) newline() {
	done := make(chan struct{}) // closed by the goroutine, which may end with the process
	go func() {
		defer close(done)
		_, _ = fmt.Fprintln(q.tty)
	}()
	select {
	case <-done:
	case <-time.After(SuspendFlush):
	}
}

// StopProcess stops this process like the default action of SIGTSTP. It sends SIGTTOU, because
// package signal does not restore the default action of SIGTSTP once it was caught. SIGTTOU is
// ignored if no shell could continue the process (POSIX, orphaned process groups), which SIGSTOP
// is not. Another thread may take the signal, so the stop may happen a little later or not at all.
func StopProcess() { _ = unix.Kill(unix.Getpid(), unix.SIGTTOU) }

// stay makes SIGTSTP stop the process again after a prompt has caught it
// (package signal does not restore that), until someone else catches and resets
// it.
func stay() {
	if signal.Ignored(unix.SIGTSTP) {
		return
	}
	signals := make(chan os.Signal, 1) // sent by package signal, never closed
	signal.Reset(unix.SIGTSTP)
	signal.Notify(signals, unix.SIGTSTP)
	go func() {
		for range signals {
			StopProcess()
		}
	}()
}

// maxTyped limits the answer, in bytes, like a terminal's line.
const maxTyped = 4096

// readTyped reads a line, without its end, and leaves no other copy in memory.
func readTyped(r io.Reader) ([]byte, error) {
	line := make([]byte, 0, maxTyped) // never grows, so no copy is left behind
	defer func() { clear(line) }()
	var one [1]byte
	defer clear(one[:])
	for {
		_, err := io.ReadFull(r, one[:])
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, errors.New("nothing was answered")
		case errors.Is(err, io.EOF), err == nil && one[0] == '\n':
			return bytes.Clone(line), nil
		case err != nil:
			return nil, err
		case len(line) == maxTyped:
			return nil, fmt.Errorf("the answer is longer than %d bytes", maxTyped)
		}
		line = append(line, one[0])
	}
}

var errNotAsked = errors.New("its passphrase is asked for only when --identity names it; ssh-add takes it into the agent")

// AskPassphrase returns a function that asks on the terminal, without echo, for
// the passphrase of a key file. It asks only for files in named: a key that
// happens to be in ~/.ssh is not worth a question in every run. The function is not
// safe for concurrent use.
func AskPassphrase(named []string) func(path string) ([]byte, error) {
	asked := make(map[string]bool)
	return func(path string) ([]byte, error) {
		if !slices.ContainsFunc(named, func(n string) bool { return filepath.Clean(n) == filepath.Clean(path) }) {
			return nil, errNotAsked
		}
		again := ""
		if asked[path] {
			again = "wrong; once more: "
		}
		asked[path] = true
		return ask(fmt.Sprintf("%spassphrase for %q: ", again, path))
	}
}

// AskPassword returns a function that asks on the terminal for the password of
// the run, which logs in as user; "" means the local user.
func AskPassword(login string) func(context.Context) ([]byte, error) {
	if u, err := user.Current(); login == "" && err == nil {
		login = u.Username
	}
	return func(context.Context) ([]byte, error) {
		return ask(fmt.Sprintf("password for the hosts (%.100q where they name no other user): ", login))
	}
}

// AskVariable returns a function that asks on the terminal for the value of a secret variable.
func AskVariable(name string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		return ask(fmt.Sprintf("value of the secret variable %s, which this program's environment lacks: ", name))
	}
}

// AskBecomePassword returns a function that asks on the terminal for the password that method
// wants before it becomes user.
func AskBecomePassword(method, user string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		return ask(fmt.Sprintf("password for %s to become %.100q: ", method, user))
	}
}
