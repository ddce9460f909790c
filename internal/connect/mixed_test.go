package connect_test

import (
	"slices"
	"testing"
	"time"

	"shoal/internal/connect"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// Good hosts among every fault of the protocol, and pairs of them: the oracle has seen what is
// reported, each fault comes to what it declares, and no good host notices. make soak does the same
// with 10,000 hosts and other seeds.
func TestMixedRun(t *testing.T) {
	t.Parallel()
	const hosts, seed = 300, "mixed"
	fault, err := simfleet.Mix(seed, hosts, 1)
	if err != nil {
		t.Fatal(err)
	}
	fl, opts := fleetOf(t, simfleet.Options{Hosts: hosts, Seed: seed, Fault: fault})
	opts.Engine.Attempts, opts.Engine.MaxOutput = 1, 1<<20
	const limit = 8 * time.Second // of the phases that a fault never ends
	opts.Timeouts = ssh.Timeouts{Kex: limit, Auth: limit, Session: limit, Command: limit, Drain: limit}
	results := collect(t, connect.Run(t.Context(), opts, fl.Targets(), "echo hello {index}"))
	_ = fl.Close() // the log is complete only after Close
	if report := simfleet.Check(fl.Log(), slices.Values(results), hosts); !report.OK() {
		t.Error(report)
	}
	for _, text := range simfleet.CheckExpected(slices.Values(results), fault) {
		t.Error(text)
	}
}
