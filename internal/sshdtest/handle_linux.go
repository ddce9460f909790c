package sshdtest

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attributes are those of a server's process: it leads a group, and the kernel kills it
// when this process is killed.
func attributes() (*syscall.SysProcAttr, error) {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}, nil
}

// A handle is a pidfd (pidfd_open(2)): unlike a process id it never refers to a
// later process.
type handle int

func open(pid int) (handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	return handle(fd), err
}

func (h handle) close() { _ = unix.Close(int(h)) }

// kill kills the process, waits until it has ended and closes the handle.
func (h handle) kill() {
	_ = unix.PidfdSendSignal(int(h), unix.SIGKILL, nil, 0) // it may have exited already
	ended := []unix.PollFd{{Fd: int32(h), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(ended, -1); err != unix.EINTR {
			break
		}
	}
	h.close()
}

func (h handle) ended() bool { return h.waitUntil(time.Now()) }

// waitUntil waits for the process at most until by, and reports whether it has
// ended.
func (h handle) waitUntil(by time.Time) bool {
	ended := []unix.PollFd{{Fd: int32(h), Events: unix.POLLIN}}
	for {
		left := max(0, time.Until(by).Milliseconds())
		n, err := unix.Poll(ended, int(left))
		if err != unix.EINTR {
			return n > 0
		}
	}
}
