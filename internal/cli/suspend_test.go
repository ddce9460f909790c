package cli_test

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/record"
	"shoal/simfleet"
)

// A process that was stopped for longer than any timeout blames no server for
// it, in whatever phase its connections were. The timeouts are long for so few
// connections, because machines may be busy.
// faults.md: R13 R15
func TestStoppedProcess(t *testing.T) {
	const hosts = 3
	accepted := func(s simfleet.Stats) bool { return s.Accepted == hosts }
	letIn := func(s simfleet.Stats) bool { return s.Authenticated == hosts }
	running := func(s simfleet.Stats) bool { return s.Execs == hosts }
	var all sync.WaitGroup // in parallel: they mostly wait
	defer all.Wait()
	for _, client := range []string{"best", "standard"} {
		for name, c := range map[string]struct {
			ready   func(s simfleet.Stats) bool // when to stop the process
			drains  bool                        // it was told to drain before
			fault   simfleet.Fault
			command string
			outcome fleet.Outcome
			reason  fleet.Reason
		}{
			"handshake":    {accepted, false, "", "echo hello", fleet.OutcomeOK, ""},
			"let in":       {letIn, false, "", "echo hello", fleet.OutcomeOK, ""},
			"run":          {running, false, "", "sleep 1; echo hello", fleet.OutcomeOK, ""},
			"drain":        {running, true, "", "sleep 1; echo hello", fleet.OutcomeOK, ""},
			"never":        {accepted, false, simfleet.FaultStallKex, "echo hello", fleet.OutcomeNeverStarted, fleet.ReasonKexTimeout},
			"never let in": {accepted, false, simfleet.FaultAuthStall, "echo hello", fleet.OutcomeNeverStarted, fleet.ReasonAuthTimeout},
			"never ends":   {running, false, "", "sleep 3600", fleet.OutcomeSignalled, fleet.ReasonTimeout},
		} {
			all.Go(func() {
				t.Run(client+"/"+name, func(t *testing.T) {
					f, err := simfleet.Start(context.WithoutCancel(t.Context()), simfleet.Options{
						Hosts: hosts, Latency: 150 * time.Millisecond, Fault: func(int) simfleet.Fault { return c.fault },
					})
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = f.Close() }()
					results := runStopped(t, f, c.ready, c.drains, "--client", client, c.command)
					if report := simfleet.Check(endedLog(f), slices.Values(results), hosts); !report.OK() {
						t.Error(report)
					}
					for _, r := range results {
						if r.Outcome != c.outcome || r.Reason != c.reason {
							t.Errorf("%s: %v(%s) in %v: %v", r.Target.Host, r.Outcome, r.Reason, r.Phase, r.Err)
						}
					}
				})
			})
		}
	}
}

// runStopped runs shoal in its own process, with timeouts of 4 s, and stops it
// for 5 s when ready returns true.
func runStopped(t *testing.T, f *simfleet.Fleet, ready func(simfleet.Stats) bool, drains bool, args ...string) []fleet.Result {
	t.Helper()
	dir := t.TempDir()
	if err := writeFleet(f, dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("shoal", append([]string{
		"run", "--no-agent", "--known-hosts", "kh", "--identity", "key", "--hostfile", "hosts", "--no-journal", "--json", "--attempts", "1",
		"--dial-timeout", "4", "--kex-timeout", "4", "--auth-timeout", "4", "--session-timeout", "4", "-u", "4", "--state-dir", "none",
	}, args...)...)
	var stdout bytes.Buffer
	cmd.Dir, cmd.Stdout = dir, &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}) // closed by the goroutine below
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the results say the same as its exit code
	}()
	for !ready(f.Stats()) {
		select {
		case <-ended:
			t.Fatalf("it ended before it could be stopped, with %+v:\n%s", f.Stats(), &stdout)
		case <-time.After(time.Millisecond):
		}
	}
	if drains {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if sig == syscall.SIGSTOP {
			time.Sleep(5 * time.Second) // the length matters
		}
	}
	<-ended
	var results []fleet.Result
	for entry, err := range record.Read(&stdout) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Result != nil {
			results = append(results, *entry.Result)
		}
	}
	return results
}
