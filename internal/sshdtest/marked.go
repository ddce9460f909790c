package sshdtest

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// markName is the environment variable that marks all processes of a server.
// Parents and groups are not enough: sshd starts each command in a session of
// its own, and a command whose connection has ended becomes init's child.
const markName = "SHOAL_TESTSSHD"

// A handle is a pidfd (pidfd_open(2)): unlike a process id it never refers to a
// later process.
type handle int

// marked returns a handle for each process with the mark in its environment.
func marked(mark string) []handle {
	var found []handle
	entry := []byte(markName + "=" + mark)
	environs, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is valid
	for _, path := range environs {
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has exited
		}
		// Read the environment after opening the handle, so that both belong to
		// the same process.
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

// kill kills the process, waits until it has ended and closes the handle.
func (h handle) kill() {
	_ = unix.PidfdSendSignal(int(h), unix.SIGKILL, nil, 0) // it may have exited already
	ended := []unix.PollFd{{Fd: int32(h), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(ended, -1); err != unix.EINTR {
			break
		}
	}
	_ = unix.Close(int(h))
}
