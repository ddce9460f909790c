package cli_test

import (
	"bytes"
	"database/sql"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/record"
	"shoal/simfleet"
)

// Repeated Ctrl-C ends a run whose commands never end, and every target has its
// result.
func TestAbort(t *testing.T) {
	// Signals after the end of the run must not end the test.
	ours := make(chan os.Signal, 100)
	signal.Notify(ours, os.Interrupt)
	defer signal.Stop(ours)
	f, dir := startFleet(t, simfleet.Options{Hosts: 9})
	var stdout, stderr bytes.Buffer
	code := make(chan int)
	go func() {
		in := func(name string) string { return filepath.Join(dir, name) }
		code <- cli.Main(t.Context(), []string{
			"run", "--no-agent", "--known-hosts", in("kh"), "--identity", in("key"),
			"--hostfile", in("hosts"), "-f", "2", "--json", "sleep 3600",
		}, console.Stdio{Out: &stdout, Err: &stderr})
	}()
	for f.Stats().Execs < 2 {
		time.Sleep(time.Millisecond)
	}
	for ended := false; !ended; {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-code:
			if ended = true; got != 130 {
				t.Errorf("exit code %d, want 130", got)
			}
		case <-time.After(50 * time.Millisecond): // signals closer together may be merged
		}
	}
	_ = f.Close()
	var results []fleet.Result
	for entry, err := range record.Read(&stdout) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Result != nil {
			results = append(results, *entry.Result)
		}
	}
	report := simfleet.Check(f.Log(), slices.Values(results), 9)
	if !report.OK() || report.Outcomes[fleet.OutcomeUnknown] != 2 || report.Outcomes[fleet.OutcomeCancelled] != 7 {
		t.Errorf("%s\noutcomes %v, want 2 unknown and 7 cancelled", report, report.Outcomes)
	}
	if !strings.Contains(stderr.String(), "aborting: ") {
		t.Errorf("the abort was not announced:\n%s", stderr.String())
	}
}

// A signal after an abort ends the run while another process writes the journal. What is
// lost is said and decides the exit code.
func TestAbortWhileTheJournalIsBusy(t *testing.T) {
	ours := make(chan os.Signal, 100)
	signal.Notify(ours, syscall.SIGTERM)
	defer signal.Stop(ours)
	f, dir := startFleet(t, simfleet.Options{Hosts: 1})
	state := t.TempDir()
	stderr, err := os.Create(filepath.Join(dir, "stderr")) // written to even after Main in a hurry
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stderr.Close() }()
	code := make(chan int)
	go func() {
		in := func(name string) string { return filepath.Join(dir, name) }
		code <- cli.Main(t.Context(), []string{
			"run", "--no-agent", "--known-hosts", in("kh"), "--identity", in("key"), "--state-dir", state,
			"--hostfile", in("hosts"), "--json", "sleep 3600",
		}, console.Stdio{Out: &bytes.Buffer{}, Err: stderr})
	}()
	for f.Stats().Execs < 1 {
		time.Sleep(time.Millisecond)
	}
	db, err := sql.Open("sqlite", filepath.Join(state, "journal.db")+"?_txlock=immediate&_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	other, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback() }()
	for ended := false; !ended; {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-code:
			ended = true
			text, err := os.ReadFile(stderr.Name())
			if got != 4 || err != nil || !strings.Contains(string(text), "1 results are not in the journal") {
				t.Errorf("exit code %d, want 4, and what is lost\n%s, %v", got, text, err)
			}
		case <-time.After(50 * time.Millisecond): // signals closer together may be merged
		}
	}
}

// SIGTERM ends shoal shell, and not only the line that is being run.
func TestShellEnds(t *testing.T) {
	ours := make(chan os.Signal, 100)
	signal.Notify(ours, syscall.SIGTERM)
	defer signal.Stop(ours)
	f, dir := startFleet(t, simfleet.Options{Hosts: 3})
	var stdout, stderr bytes.Buffer
	code := make(chan int)
	go func() {
		in := func(name string) string { return filepath.Join(dir, name) }
		code <- cli.Main(t.Context(), []string{
			"shell", "-F", "none", "--no-agent", "--known-hosts", in("kh"), "--identity", in("key"), "--hostfile", in("hosts"),
		}, console.Stdio{In: strings.NewReader("sleep 3600\necho never\n"), Out: &stdout, Err: &stderr})
	}()
	for f.Stats().Execs < 3 {
		time.Sleep(time.Millisecond)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != 130 || f.Stats().Execs != 3 {
		t.Errorf("exit code %d, want 130; %d commands ran\n%s%s", got, f.Stats().Execs, &stdout, &stderr)
	}
}
