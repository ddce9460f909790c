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

// A keyboard is the controlling terminal in a mode where keys arrive one by one
// without echo; Ctrl-C and Ctrl-Z still send signals. The mode belongs to the
// terminal and outlives this process, so leave restores it. It is only changed
// in the foreground: a background process is stopped by SIGTTOU when it tries
// (termios(3)).
type keyboard struct {
	fd     int
	unwind *os.File // closing it ends listen
	wake   *os.File // the other end of the pipe

	mu    sync.Mutex
	found *unix.Termios // the mode before ours; nil while ours is not set
	away  bool          // leave was called and comeBack was not
}

// lookAgain is the interval of checking whether we are in the foreground: a
// shell that brings a running job to the foreground sends no signal.
const lookAgain = time.Second

// newKeyboard returns nil if in is not a terminal.
func newKeyboard(in io.Reader) *keyboard {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	wake, unwind, err := os.Pipe()
	if err != nil {
		return nil // the run continues without keys
	}
	return &keyboard{fd: int(file.Fd()), wake: wake, unwind: unwind}
}

// take sets the mode and reports whether this process may read from the
// terminal. It always sets the mode, because a shell sets its own while we are
// stopped.
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
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 0, 0 // read returns at once
	if k.found == nil {
		k.found = now
	}
	return *now == mode || unix.IoctlSetTermios(k.fd, console.SetTermios, &mode) == nil
}

func (k *keyboard) inForeground() bool {
	group, err := unix.IoctlGetInt(k.fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// leave restores the mode; the terminal is not touched until comeBack. Both may
// be called on a nil keyboard.
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

// listen calls press for each key, until close or until the terminal is closed.
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
			return // terminal closed
		}
	}
}

// read returns the keys that were pressed. Several different bytes at once are
// ignored: an escape sequence such as an arrow key, or pasted text.
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

// close ends listen, for which the caller has to wait, and restores the
// terminal.
func (k *keyboard) close() {
	_ = k.unwind.Close()
	k.leave()
}
