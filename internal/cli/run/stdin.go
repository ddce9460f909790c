package run

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"shoal/internal/cli/console"
	"shoal/internal/hint"
)

// unsent watches over standard input that nobody reads: commands get none of it.
type unsent struct {
	from   io.Reader
	notify io.Writer
	said   bool
}

// check returns an error if standard input is a file that somebody put there for the command,
// and says once that other input is not sent. It never blocks, and reads nothing: a script may
// be reading the rest of its own text from there.
func (u *unsent) check() error {
	f, ok := u.from.(*os.File)
	if !ok || u.said {
		return nil
	}
	info, err := f.Stat()
	if err != nil { // it is closed
		return nil
	}
	waiting := false
	switch mode := info.Mode(); {
	case mode.IsRegular():
		at, err := f.Seek(0, io.SeekCurrent)
		if err == nil && at == 0 && info.Size() > 0 {
			return hint.New("standard input is a file, and commands get no standard input", "--stdin sends it, and </dev/null runs the command without it")
		}
		waiting = err == nil && at < info.Size()
	case mode&(os.ModeNamedPipe|os.ModeSocket) != 0:
		waiting = readable(f)
	}
	if waiting {
		u.said = true
		console.Say(u.notify, "standard input is not sent to the hosts: commands get none (--stdin sends it, </dev/null stops this notice)")
	}
	return nil
}

// readable reports whether a pipe or socket has bytes to read.
func readable(f *os.File) (ready bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = conn.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		ready = err == nil && n > 0 && poll[0].Revents&unix.POLLIN != 0
	})
	return ready && err == nil
}
