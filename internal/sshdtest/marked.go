package sshdtest

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// markName is the environment variable that tells what a server has started.
// Neither parents nor groups tell it: sshd gives each command a session of its
// own, and a command whose connection has ended belongs to init.
const markName = "SHOAL_TESTSSHD"

// A handle is a pidfd (pidfd_open(2)): unlike a process id it never comes to
// mean another process.
type handle int

// marked gives a handle for each process that runs with the mark in its
// environment.
func marked(mark string) []handle {
	var found []handle
	entry := []byte(markName + "=" + mark)
	environs, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well formed
	for _, path := range environs {
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		// Only now, so that what is read is of the process that the handle is of.
		env, err := environ(pid)
		if err != nil || !hasEntry(env, entry) {
			_ = unix.Close(fd)
			continue
		}
		found = append(found, handle(fd))
	}
	return found
}

func hasEntry(env, entry []byte) bool {
	for e := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(e, entry) {
			return true
		}
	}
	return false
}

// kill ends the process, waits until it has ended and frees the handle.
func (h handle) kill() {
	_ = unix.PidfdSendSignal(int(h), unix.SIGKILL, nil, 0) // ended already is fine
	ended := []unix.PollFd{{Fd: int32(h), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(ended, -1); err != unix.EINTR {
			break
		}
	}
	_ = unix.Close(int(h))
}
