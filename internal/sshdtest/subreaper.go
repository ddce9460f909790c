package sshdtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"shoal/internal/needs"
)

// idleLimit limits WaitIdle, so that a hanging command becomes a failed test.
const idleLimit = 2 * time.Minute

// subreaper is a program that executes its arguments as a child subreaper
// (PR_SET_CHILD_SUBREAPER of prctl(2), which is preserved by execve(2)).
const subreaper = "import ctypes, os, sys\n" +
	"if ctypes.CDLL(None).prctl(36, 1, 0, 0, 0): sys.exit('prctl failed')\n" +
	"os.execv(sys.argv[1], sys.argv[1:])\n"

// underSubreaper wraps argv if WithSubreaper was given.
func (o options) underSubreaper(t testing.TB, argv []string) []string {
	t.Helper()
	if !o.subreaper {
		return argv
	}
	return append([]string{needs.Program(t, python), pythonFlags, "-c", subreaper}, argv...)
}

// WaitIdle waits until the server, started WithSubreaper, has no child
// processes: all connections and commands that it has started have ended. It
// does not wait for connections that the server has not accepted, nor, if the
// server handles connections in its own process (AsyncSSH), for commands it is
// about to start.
func (s *Server) WaitIdle(t testing.TB) {
	t.Helper()
	by := time.Now().Add(idleLimit)
	for {
		running, err := children(s.PID())
		if err != nil {
			t.Fatalf("looking for the server's processes: %v", err)
		}
		if len(running) == 0 {
			return
		}
		for _, h := range running {
			if !h.waitUntil(by) {
				t.Fatalf("after %v the server is not idle:\n%s", idleLimit, s.Log())
			}
			h.close()
		}
	}
}

// children returns a handle for each running child (proc_pid_task(5)).
func children(pid int) ([]handle, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/children", pid))
	if err != nil || len(tasks) == 0 {
		return nil, fmt.Errorf("process %d is gone, or the kernel does not tell its children: %w", pid, err)
	}
	var running []handle
	for _, path := range tasks {
		list, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for _, text := range bytes.Fields(list) {
			child, err := strconv.Atoi(string(text))
			if err != nil {
				return nil, err
			}
			// A zombie's handle is ready at once; reaping it is up to the
			// server.
			if h, err := open(child); err == nil && !h.ended() {
				running = append(running, h)
			} else if err == nil {
				h.close()
			}
		}
	}
	return running, nil
}
