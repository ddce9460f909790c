package run

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"shoal/internal/cli/console"
)

// A keyboard is the terminal that a command was started from, set so that keys
// arrive one by one and are not shown; Ctrl-C and Ctrl-Z stay signals. The mode
// is the terminal's and outlives us: it is put back by leave, and only changed
// while we are in the foreground, where a background process would be stopped
// for it (SIGTTOU, termios(3)).
type keyboard struct {
	fd     int
	unwind *os.File // closing it ends listen
	wake   *os.File // its other end

	mu    sync.Mutex
	found *unix.Termios // the mode before ours; nil while ours is not set
	away  bool          // leave was called, and return was not
}

// lookAgain is how often it is looked whether the terminal is ours: a shell that
// brings a running job to the foreground does not say so.
const lookAgain = time.Second

// newKeyboard gives nil where in is no terminal.
func newKeyboard(in io.Reader) *keyboard {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	wake, unwind, err := os.Pipe()
	if err != nil {
		return nil // a run goes on without keys
	}
	return &keyboard{fd: int(file.Fd()), wake: wake, unwind: unwind}
}

// Take sets the mode and says whether the terminal is ours to read from. It
// always sets it: a shell has set its own when we were stopped.
func (k *keyboard) take() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away || !k.inForeground() {
		return false
	}
	now, err := unix.IoctlGetTermios(k.fd, console.GetTermios)
	if err != nil {
		return false
	}
	mode := *now
	mode.Lflag &^= unix.ICANON | unix.ECHO
	mode.Lflag |= unix.ISIG
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 0, 0 // a read never waits
	if k.found == nil {
		k.found = now
	}
	return *now == mode || unix.IoctlSetTermios(k.fd, console.SetTermios, &mode) == nil
}

func (k *keyboard) inForeground() bool {
	group, err := unix.IoctlGetInt(k.fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// leave puts the mode back and touches the terminal no more until comeBack. It
// may be called of a nil keyboard, as may comeBack.
func (k *keyboard) leave() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = true
	if k.found != nil && k.inForeground() {
		_ = unix.IoctlSetTermios(k.fd, console.SetTermios, k.found)
	}
	k.found = nil
}

func (k *keyboard) comeBack() {
	if k == nil {
		return
	}
	k.mu.Lock()
	k.away = false
	k.mu.Unlock()
	k.take()
}

// listen hands keys over until close, or until the terminal is gone.
func (k *keyboard) listen(press func(key byte)) {
	buf := make([]byte, 64)
	for {
		waiting := []unix.PollFd{{Fd: int32(k.wake.Fd()), Events: unix.POLLIN}}
		if k.take() {
			waiting = append(waiting, unix.PollFd{Fd: int32(k.fd), Events: unix.POLLIN})
		}
		_, err := unix.Poll(waiting, int(lookAgain.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil, waiting[0].Revents != 0:
			return
		case len(waiting) == 1 || waiting[1].Revents == 0:
			continue
		}
		for _, key := range k.read(buf) {
			press(key)
		}
		if waiting[1].Revents&unix.POLLIN == 0 {
			return // hung up
		}
	}
}

// read gives the keys that were pressed. Different ones that come together are
// none: a key such as an arrow, or text that was pasted.
func (k *keyboard) read(buf []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away || !k.inForeground() {
		return nil
	}
	n, err := unix.Read(k.fd, buf)
	if err != nil || n <= 0 || len(bytes.Trim(buf[:n], string(buf[:1]))) > 0 {
		return nil
	}
	return buf[:n]
}

// Close ends listen, which its caller has to wait for, and leaves the terminal.
func (k *keyboard) close() {
	_ = k.unwind.Close()
	k.leave()
}
