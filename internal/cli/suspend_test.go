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
// it, wherever their connections stood.
func TestStoppedProcess(t *testing.T) {
	const hosts = 8
	accepted := func(s simfleet.Stats) bool { return s.Accepted == hosts }
	letIn := func(s simfleet.Stats) bool { return s.Authenticated == hosts }
	running := func(s simfleet.Stats) bool { return s.Execs == hosts }
	var all sync.WaitGroup // side by side: they wait most of the time
	defer all.Wait()
	for _, client := range []string{"best", "standard"} {
		for name, c := range map[string]struct {
			ready   func(s simfleet.Stats) bool // to be stopped
			fault   simfleet.Fault
			command string
			outcome fleet.Outcome
			reason  fleet.Reason
		}{
			"handshake":  {accepted, "", "echo hello", fleet.OutcomeOK, ""},
			"let in":     {letIn, "", "echo hello", fleet.OutcomeOK, ""},
			"run":        {running, "", "sleep 1; echo hello", fleet.OutcomeOK, ""},
			"never":      {accepted, simfleet.FaultStallKex, "echo hello", fleet.OutcomeNeverStarted, fleet.ReasonKexTimeout},
			"never ends": {running, "", "sleep 3600", fleet.OutcomeSignalled, fleet.ReasonTimeout},
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
					results := runStopped(t, f, c.ready, "--client", client, c.command)
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

// runStopped runs shoal in a process of its own, with timeouts of 2 s, and stops
// it for 3 s when the fleet is ready for that.
func runStopped(t *testing.T, f *simfleet.Fleet, ready func(simfleet.Stats) bool, args ...string) []fleet.Result {
	t.Helper()
	dir := t.TempDir()
	if err := writeFleet(f, dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("shoal", append([]string{
		"run", "--no-agent", "--known-hosts", "kh", "--identity", "key", "--hostfile", "hosts", "--no-journal", "--json", "--attempts", "1",
		"--dial-timeout", "2", "--kex-timeout", "2", "--auth-timeout", "2", "--session-timeout", "2", "-u", "2", "--state-dir", "none",
	}, args...)...)
	var stdout bytes.Buffer
	cmd.Dir, cmd.Stdout = dir, &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for !ready(f.Stats()) {
		time.Sleep(time.Millisecond)
	}
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if sig == syscall.SIGSTOP {
			time.Sleep(3 * time.Second) // it is this long that matters
		}
	}
	_ = cmd.Wait() // its exit code says what the results do
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
