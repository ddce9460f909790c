package remote

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain has every process start with descriptors 0 to 2 only, as a server starts it.
// Shells put their own copies on the first free ones from 10 on.
func TestMain(m *testing.M) {
	open, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	os.Exit(m.Run())
}

// patience is the time after which a test fails that still waits for a process. Nothing
// here takes that long.
const patience = time.Minute

// mine are the live processes that the far has started, found by their environment.
func (f *far) mine() []int {
	var pids []int
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && strings.Contains("\x00"+string(environ), "\x00"+f.sign()+"\x00") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// pidOf returns the process that has exactly these arguments; 0 if there is none.
func (f *far) pidOf(arguments string) int {
	for _, pid := range f.mine() {
		if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); string(text) == arguments {
			return pid
		}
	}
	return 0
}

// stat returns the state of a process, its parent, and what follows in proc(5). Of a
// process that is gone, the state is X.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return []string{"X", "0"}
	}
	return strings.Fields(string(text[strings.LastIndex(string(text), ")")+1:]))
}

// sign is in the environment of every process that the far starts.
func (f *far) sign() string { return "FAR=" + f.sh }

// end kills all of them. A number is not reused so soon, unlike that of a group which
// ended long ago.
func (f *far) end() {
	for range 100 {
		pids := f.mine()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

// guard fails the test if stop is not called within patience: it says what the far's
// processes are doing and what they have open, and ends them. stop then ends the test.
func (f *far) guard(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	cmd.WaitDelay = patience + 10*time.Second // in case another process has an output open
	done := make(chan struct{})
	timer := time.AfterFunc(patience, func() {
		defer close(done)
		t.Errorf("%+.100q, process %d, was not over after %v:\n%s", cmd.Args, cmd.Process.Pid, patience, f.describe())
		f.end()
	})
	return func() {
		if !timer.Stop() {
			<-done
			t.FailNow()
		}
	}
}

func (f *far) describe() string {
	var b strings.Builder
	for _, pid := range f.mine() {
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		at, _ := os.ReadFile(filepath.Join(dir, "wchan"))
		fmt.Fprintf(&b, "%.60s in %s: %+.300q\n", stat, at, command)
		open, _ := os.ReadDir(filepath.Join(dir, "fd"))
		for _, entry := range open {
			to, _ := os.Readlink(filepath.Join(dir, "fd", entry.Name()))
			fmt.Fprintf(&b, "\t%s -> %s\n", entry.Name(), to)
		}
	}
	return b.String()
}
