package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/simfleet"
)

// A run ends although nobody reads its output, and the journal has every
// result: after one SIGTERM, and after a signal that follows an abort.
// faults.md: R12 R09
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	const targets = 60 // 100 KB each: more than pipes hold
	for name, c := range map[string]struct {
		flags   []string
		signals []syscall.Signal
	}{
		"live, terminated":   {nil, []syscall.Signal{syscall.SIGTERM}},
		"live, interrupted":  {nil, []syscall.Signal{syscall.SIGINT, syscall.SIGINT, syscall.SIGINT}},
		"gathered, hung up":  {[]string{"-b"}, []syscall.Signal{syscall.SIGHUP}},
		"in order, and JSON": {[]string{"-L", "--json"}, []syscall.Signal{syscall.SIGTERM}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: targets})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			dir := t.TempDir()
			writeFleet(t, f, dir)
			read := func() *os.File { // a pipe that nobody reads; its other end stays open
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = r.Close() })
				return w
			}
			out, errs := read(), read()
			args := append([]string{
				"run", "-F", "none", "--hostfile", filepath.Join(dir, "hosts"), "--known-hosts", filepath.Join(dir, "kh"),
				"--identity", filepath.Join(dir, "key"), "--no-agent", "--state-dir", filepath.Join(dir, "state"),
			}, c.flags...)
			command := "head -c 100000 /dev/urandom"
			cmd := exec.Command(os.Args[0], append(args, command)...)
			cmd.Env = append(os.Environ(), asShoal+"=1", "HOME="+dir)
			cmd.Stdout, cmd.Stderr = out, errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_, _ = out.Close(), errs.Close()
			ended := make(chan error, 1) // sent by the goroutine
			go func() { ended <- cmd.Wait() }()
			var failed error
			kept := func() int { return resultsKept(t, filepath.Join(dir, "state")) }
			await(t, func() bool { return kept() == targets })
			for _, sig := range c.signals {
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond) // signals closer together may be merged
			}
			over, again := time.After(guard), time.NewTicker(time.Second)
			defer again.Stop()
			for waiting := true; waiting; {
				select {
				case failed = <-ended:
					waiting = false
				case <-again.C:
					if len(c.signals) > 1 { // a busy machine may merge them all the same
						_ = cmd.Process.Signal(c.signals[0])
					}
				case <-over:
					_ = cmd.Process.Kill()
					t.Fatal("the run goes on though it was told to end")
				}
			}
			// 130 if the signal came before the last result was read.
			if exit, _ := errors.AsType[*exec.ExitError](failed); exit == nil || exit.ExitCode() != 4 && exit.ExitCode() != 130 {
				t.Errorf("%v, want exit status 4 or 130: not all was shown", failed)
			}
			if got := kept(); got != targets {
				t.Errorf("the journal has %d results of %d", got, targets)
			}
		})
	}
}

// A reader that exits after its first line, as head -1 does, stops a run like a
// drain: running commands are waited for, so nothing is unknown, and one line
// says so. The exit code is that of results that could not be written.
// faults.md: R12
func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	const targets = 60
	for name, flags := range map[string][]string{
		"live": nil, "without prefixes": {"-N"}, "in order": {"-L"}, "JSON": {"--json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: targets})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			dir := t.TempDir()
			writeFleet(t, f, dir)
			args := append([]string{
				"run", "-F", "none", "--hostfile", filepath.Join(dir, "hosts"), "--known-hosts", filepath.Join(dir, "kh"),
				"--identity", filepath.Join(dir, "key"), "--no-agent", "--state-dir", filepath.Join(dir, "state"), "-f", "6",
			}, flags...)
			cmd := exec.Command(os.Args[0], append(args, "echo {index}; sleep 0.1; echo end {index}")...)
			cmd.Env = append(os.Environ(), asShoal+"=1", "HOME="+dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			hangs := time.AfterFunc(guard, func() { _ = cmd.Process.Kill() })
			defer hangs.Stop()
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Error(err)
			}
			_ = out.Close()
			_ = cmd.Wait() // the exit code is checked below
			said := errs.String()
			if code := cmd.ProcessState.ExitCode(); code != 4 {
				t.Errorf("exit code %d, want 4", code)
			}
			if n := strings.Count(said, "nobody reads the output any more"); n != 1 || strings.Contains(said, "broken pipe") {
				t.Errorf("said %d times that nobody reads", n)
			}
			outcomes := outcomesKept(t, filepath.Join(dir, "state"))
			ran := len(f.Log())
			if ran == 0 || ran == targets || outcomes[fleet.OutcomeOK] != ran || outcomes[fleet.OutcomeCancelled] != targets-ran {
				t.Errorf("%d commands ran; the journal has %v", ran, outcomes)
			}
			if t.Failed() {
				t.Log(said)
			}
		})
	}
}

// outcomesKept counts the targets of the only run by their outcome in the
// journal.
func outcomesKept(t *testing.T, dir string) map[fleet.Outcome]int {
	t.Helper()
	ctx := context.Background()
	j, err := journal.Open(ctx, dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	outcomes := make(map[fleet.Outcome]int)
	for info, err := range j.Runs(ctx, journal.Filter{Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range j.Show(ctx, info.Run, journal.All) {
			if err != nil {
				t.Fatal(err)
			}
			outcomes[e.Outcome]++
		}
	}
	return outcomes
}

// writeFleet writes the files that a client of the fleet needs.
func writeFleet(t *testing.T, f *simfleet.Fleet, dir string) {
	t.Helper()
	for name, write := range map[string]func(io.Writer) error{
		"hosts": f.WriteHosts, "kh": f.WriteKnownHosts, "key": f.WriteKey,
	} {
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(file); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits until done returns true.
func await(t *testing.T, done func() bool) {
	t.Helper()
	for by := time.Now().Add(guard); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(by) {
			t.Fatalf("it has not come to it in %v", guard)
		}
	}
}

// resultsKept returns the number of targets of the newest run whose command ran
// and whose result is in the journal.
func resultsKept(t *testing.T, dir string) (n int) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "journal.db")); err != nil {
		return 0
	}
	ctx := context.Background()
	j, err := journal.Open(ctx, dir, journal.Options{})
	if err != nil {
		return 0 // it is being created
	}
	defer func() { _ = j.Close() }()
	for info, err := range j.Runs(ctx, journal.Filter{Limit: 1}) {
		if err != nil || info.State == journal.Incomplete {
			return 0
		}
		for e, err := range j.Show(ctx, info.Run, journal.All) {
			if err == nil && e.Outcome != fleet.OutcomeUnknown && e.Outcome.Ran() {
				n++
			}
		}
	}
	return n
}
