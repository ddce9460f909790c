package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
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

func newSecretPrompt(tty *os.File, text string) *secretPrompt {
	return &secretPrompt{
		tty: tty, fd: int(tty.Fd()), text: text, signals: make(chan os.Signal, 8), over: make(chan struct{}),
	}
}

// A secretPrompt asks for a secret on a terminal. As readpassphrase(3) does, it turns echo
// off and throws away what was typed before it asks, so that nothing of an answer
// is ever shown, and puts the mode back before any signal has its effect: the mode
// is the terminal's and outlives us.
type secretPrompt struct {
	tty  *os.File
	fd   int
	text string

	signals chan os.Signal // sent by package signal
	over    chan struct{}  // closed when the answer has come
	watcher sync.WaitGroup

	mu    sync.Mutex
	found *unix.Termios // the mode before ours; nil while ours is not set
}

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
	_, _ = fmt.Fprintln(q.tty) // the one that was typed was not shown
	return answer, err
}

// pose turns echo off, and then asks. It may be repeated: a shell sets a mode of
// its own when we are stopped.
func (q *secretPrompt) pose() error {
	if err := q.hide(); err != nil {
		return err
	}
	_, err := io.WriteString(q.tty, q.text) // without mu: a terminal that was stopped takes nothing
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

// reveal puts the mode back.
func (q *secretPrompt) reveal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.found != nil {
		_ = unix.IoctlSetTermios(q.fd, SetTermios, q.found)
		q.found = nil
	}
}

// Watch gives each signal its effect, with the terminal as it was found.
func (q *secretPrompt) watch() {
	var resumed <-chan time.Time // fires when a stop has not come about
	for {
		select {
		case <-q.over:
			return
		case <-resumed:
			resumed = nil
			_ = q.pose() // reading tells what is wrong with the terminal
		case s := <-q.signals:
			switch s {
			case unix.SIGCONT:
				resumed = nil
				_ = q.pose()
			case unix.SIGTSTP:
				q.reveal()
				stop()
				resumed = time.After(time.Second)
			default:
				q.reveal()
				q.newline()
				signal.Reset(s)
				_ = unix.Kill(unix.Getpid(), s.(syscall.Signal))
				select {} // it ends this process
			}
		}
	}
}

// newline ends the line of the question, where the terminal takes it soon.
func (q *secretPrompt) newline() {
	done := make(chan struct{}) // closed by the goroutine, which else ends with the process
	go func() {
		defer close(done)
		_, _ = fmt.Fprintln(q.tty)
	}()
	select {
	case <-done:
	case <-time.After(SuspendFlush):
	}
}

// stop stops this process as SIGTSTP does where nobody catches it. See suspend for
// why it takes another signal.
func stop() { _ = unix.Kill(unix.Getpid(), unix.SIGTTOU) }

// stay gives SIGTSTP an effect after a prompt has caught it, which package
// signal does not, until another catches it and resets it before.
func stay() {
	if signal.Ignored(unix.SIGTSTP) {
		return
	}
	signals := make(chan os.Signal, 1) // sent by package signal, closed by nobody
	signal.Reset(unix.SIGTSTP)
	signal.Notify(signals, unix.SIGTSTP)
	go func() {
		for range signals {
			stop()
		}
	}()
}

// maxTyped bounds what is typed as an answer, in bytes, as a terminal's line does.
const maxTyped = 4096

// readTyped reads a line without its end, and leaves no other copy of it.
func readTyped(r io.Reader) ([]byte, error) {
	line := make([]byte, 0, maxTyped) // nothing is moved and left behind
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
