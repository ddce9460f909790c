package holder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"shoal/internal/ssh/persist"
)

// TestMain has the test binary act as the process if it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "hold" {
		if err := Serve(context.Background(), os.Args[2], "test", os.NewFile(3, "ready")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// place makes a short private directory for the sockets of one test, whose processes end with it.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sh") //nolint:usetesting // sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Cleanup(func() {
		for _, f := range mine(t) {
			if err := f.Ask(context.Background(), persist.Stop); err != nil {
				t.Error(err)
			}
		}
		_ = os.RemoveAll(dir)
	})
	return filepath.Join(dir, "shoal")
}

// mine returns the processes of the test's own directory.
func mine(t *testing.T) (list []Found) {
	t.Helper()
	all, err := List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if strings.HasPrefix(f.Socket, os.Getenv("XDG_RUNTIME_DIR")) {
			list = append(list, f)
		}
	}
	return list
}

func connect(t *testing.T, stateDir string) persist.Status {
	t.Helper()
	for {
		c, err := Connect(t.Context(), stateDir, []string{"hold", stateDir})
		if err != nil {
			t.Error(err)
			return persist.Status{}
		}
		s, err := persist.Ask(t.Context(), c, persist.Query)
		if err == nil {
			return s
		}
		if !persist.Gone(err) { // it was killed and is not quite gone
			t.Error(err)
			return persist.Status{}
		}
	}
}

// send sends a signal to the process.
func send(t *testing.T, s persist.Status, sig unix.Signal) {
	t.Helper()
	if s.PID <= 1 { // 0 would be all of ours
		t.Fatal("there is no process")
	}
	if err := unix.Kill(s.PID, sig); err != nil {
		t.Fatal(err)
	}
}

// Many starts at once give one process, for each state directory.
func TestOneProcess(t *testing.T) {
	dir := place(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	pids := make(map[string]map[int]bool)
	for i := range 8 {
		state := "/state/" + fmt.Sprint(i%2)
		all.Go(func() {
			s := connect(t, state)
			mu.Lock()
			defer mu.Unlock()
			if s.StateDir != state {
				t.Errorf("state directory %q, want %q", s.StateDir, state)
			}
			if pids[state] == nil {
				pids[state] = make(map[int]bool)
			}
			pids[state][s.PID] = true
		})
	}
	all.Wait()
	if len(pids) != 2 || len(pids["/state/0"]) != 1 || len(pids["/state/1"]) != 1 {
		t.Errorf("processes: %v", pids)
	}
	if l := mine(t); len(l) != 2 || l[0].StateDir != "/state/0" || l[0].Err != nil {
		t.Errorf("listed: %+v", l)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, want 0600: %v", e.Name(), info.Mode(), err)
		}
	}
}

// One that was killed leaves a socket and a lock, which bother nobody.
func TestKilled(t *testing.T) {
	dir := place(t)
	first := connect(t, "/state")
	send(t, first, unix.SIGKILL)
	second := connect(t, "/state")
	if second.PID == first.PID || second.PID == 0 {
		t.Errorf("process %d, and %d was killed", second.PID, first.PID)
	}
	send(t, second, unix.SIGKILL)
	for len(mine(t)) > 0 { // until the kernel has released the lock
		time.Sleep(time.Millisecond)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.sock")); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// One that is stopped does not answer, is listed, and can be ended.
func TestHangs(t *testing.T) {
	place(t)
	s := connect(t, "/state")
	send(t, s, unix.SIGSTOP)
	for { // the signal may take its time on a busy machine
		state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(s.PID)).Output() //nolint:gosec // a number
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(strings.TrimSpace(string(state)), "T") {
			break
		}
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	all, err := List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.PID != s.PID {
			continue
		}
		if f.Err == nil || f.StateDir != "/state" {
			t.Errorf("listed: %+v", f)
		}
		if err := f.Ask(ctx, persist.Stop); err != nil {
			t.Error(err)
		}
	}
	if l := mine(t); len(l) != 0 {
		t.Errorf("listed: %+v", l)
	}
}

// A directory that others may write to is not used, and a process that cannot start says where its
// log is.
func TestRefuses(t *testing.T) {
	dir := place(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Connect(t.Context(), "/state", []string{"-test.run=^$", "-test.v=true"})
	if err == nil || !strings.Contains(err.Error(), "its log: "+dir) {
		t.Errorf("%v", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if err := private(dir); err == nil {
		t.Error("a directory that is open to others is private")
	}
	if err := os.Symlink("/tmp", dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := private(dir + "2"); err == nil {
		t.Error("a symbolic link is private")
	}
}

// What the environment has of secrets does not reach the process, nor its files.
// faults.md: I06
func TestNoSecrets(t *testing.T) {
	dir := place(t)
	const canary = "canary-9f3a"
	t.Setenv("SSHPASS", canary)
	t.Setenv("SHOAL_SECRET", canary)
	s := connect(t, "/state")
	for _, path := range []string{fmt.Sprintf("/proc/%d/environ", s.PID), fmt.Sprintf("/proc/%d/cmdline", s.PID)} {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(canary)) {
			t.Errorf("%s has it", path)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 3 {
		t.Errorf("%q: %v", files, err)
	}
	for _, path := range files {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(canary)) {
			t.Errorf("%s has it", path)
		}
	}
}

// A process of which no variable is kept has none, and not all of ours.
func TestEmptyEnvironment(t *testing.T) {
	c := exec.Command("env")
	if c.Env = environment(func(string) (string, bool) { return "", false }); c.Env == nil {
		t.Error("the process has the whole environment")
	}
	if out, err := c.Output(); err != nil || len(out) > 0 {
		t.Errorf("it has %q, %v", out, err)
	}
}

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	l := newLog(f)
	for range 2 * maxLog / 500 {
		l.line(strings.Repeat("x", 1000))
	}
	if info, err := f.Stat(); err != nil || info.Size() > maxLog+1000 {
		t.Errorf("%d bytes: %v", info.Size(), err)
	}
}

// The processes' own record is read with care.
func TestRecord(t *testing.T) {
	base := filepath.Join(t.TempDir(), "x")
	if r, alive := read(base); alive || r != (record{}) {
		t.Errorf("%+v", r)
	}
	lock, err := acquire(base + lockSuffix)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(record{7, "/state"})
	if err := writeAt(lock, text); err != nil {
		t.Fatal(err)
	}
	if r, alive := read(base); !alive || r != (record{7, "/state"}) {
		t.Errorf("%+v, %t", r, alive)
	}
	if _, err := acquire(base + lockSuffix); !errors.Is(err, errAnother) {
		t.Errorf("%v", err)
	}
	_ = lock.Close()
	if _, alive := read(base); alive {
		t.Error("it is not locked, and alive")
	}
	if _, err := os.Stat(base + lockSuffix); err == nil {
		t.Error("it is left")
	}
	here, there := net.Pipe()
	defer func() { _, _ = here.Close(), there.Close() }()
	if checkPeer(here) == nil {
		t.Error("nobody knows who is at the other end")
	}
}
