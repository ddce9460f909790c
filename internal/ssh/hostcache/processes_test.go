package hostcache

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	writers     = 4
	writerHosts = 10_000
	writerRuns  = 10 // each process writes its own endpoints, and all write the shared ones
	sharedHosts = 2000

	writerNumber = "RECALL_TEST_WRITER"
	writerDir    = "RECALL_TEST_DIR"
	writerLimit  = "RECALL_TEST_LIMIT" // the maximum file size in bytes
)

// TestMain also runs the child processes that write.
func TestMain(m *testing.M) {
	number, err := strconv.Atoi(os.Getenv(writerNumber))
	if err != nil {
		os.Exit(m.Run())
	}
	if limit, err := strconv.ParseUint(os.Getenv(writerLimit), 10, 64); err == nil {
		signal.Ignore(unix.SIGXFSZ) // so that writing fails with an error
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := writer(number, os.Getenv(writerDir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writerEntry(number, host int) (string, Entry) {
	e := sample
	e.User = fmt.Sprintf("user%d", number)
	return fmt.Sprintf("w%d-%d:22", number, host), e
}

func sharedEntry(number, run int) Entry {
	e := sample
	e.User = fmt.Sprintf("user%d.%d", number, run)
	return e
}

func writer(number int, dir string) error {
	const share = writerHosts / writerRuns
	o := on(day0)
	o.Wait = 100e9 // a hundred seconds: a slow machine is not an error
	for run := range writerRuns {
		m, err := Open(dir, o)
		if err != nil {
			return err
		}
		for host := run * share; host < (run+1)*share; host++ {
			m.Put(writerEntry(number, host))
		}
		for host := range sharedHosts {
			m.Put(fmt.Sprintf("shared%d:22", host), sharedEntry(number, run))
		}
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

func writerCommand(t *testing.T, number int, dir string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", writerNumber, number), writerDir+"="+dir)
	return cmd
}

// If there is no room for all lines, none is written.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remember(t, dir, on(day0), sample, "web1:22")
	before := content(t, dir)
	cmd := writerCommand(t, 0, dir)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", writerLimit, len(before)+1000))
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || !strings.Contains(string(out), "file too large") {
		t.Errorf("the writer ended with %v and said %q", err, out)
	}
	if after := content(t, dir); after != before {
		t.Errorf("the file is\n%q\nwant\n%q", after, before)
	}
}

func TestFourProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var running []*exec.Cmd
	for number := range writers {
		cmd := writerCommand(t, number, dir)
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a writer ended with %v", err)
		}
	}
	m := mustOpen(t, dir, on(day0))
	for number := range writers {
		for host := range writerHosts {
			endpoint, e := writerEntry(number, host)
			wantEntry(t, m, endpoint, e.seen(day0))
		}
	}
	last := make(map[string]bool)
	for number := range writers {
		last[sharedEntry(number, writerRuns-1).User] = true
	}
	for host := range sharedHosts {
		e, ok := m.Get(fmt.Sprintf("shared%d:22", host))
		if !ok || !last[e.User] {
			t.Errorf("shared%d is told as %+v, %v", host, e, ok)
		}
	}
	for i, line := range strings.Split(strings.TrimSuffix(content(t, dir), "\n"), "\n")[1:] {
		if _, _, _, ok := cutLine([]byte(line)); !ok {
			t.Errorf("line %d is torn: %q", i+2, line)
		}
	}
}
