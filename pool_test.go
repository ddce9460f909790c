package shoal_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"iter"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/simfleet"
)

var (
	poolTicks = flag.Int("ticks", 8, "ticks of TestPoolOracle")
	poolHosts = flag.Int("held-hosts", 60, "hosts of TestPoolOracle")
)

// Run two commands on three hosts, and log in once.
func ExamplePool() {
	fl, opts := simulated(simfleet.Options{Hosts: 3})
	defer fl.close()

	pool, err := shoal.NewPool(opts, shoal.Hold{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	for _, command := range []string{"echo first", "echo second"} {
		held := 0
		for res, err := range pool.Run(context.Background(), fl.Targets(), command) {
			if err != nil {
				log.Fatal(err)
			}
			if res.Connection.Held {
				held++
			}
		}
		fmt.Printf("%s: %d of 3 on a connection that was held\n", command, held)
	}
	// Output:
	// echo first: 0 of 3 on a connection that was held
	// echo second: 3 of 3 on a connection that was held
}

// Push a script's input, run the script and pull what it has made, and log in once.
func ExamplePool_Push() {
	fl, opts := simulated(simfleet.Options{Hosts: 2})
	defer fl.close()
	name := func(name, text string) string {
		path := filepath.Join(fl.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			log.Fatal(err)
		}
		return path
	}
	input, script := name("input", "3\n1\n2\n"), name("script", "#!/bin/sh\nsort <input >output\n")

	pool, err := shoal.NewPool(opts, shoal.Hold{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	ctx := context.Background()
	for _, results := range []iter.Seq2[shoal.Result, error]{
		pool.Push(ctx, fl.Targets(), []string{input}, "input", shoal.PushOptions{}),
		pool.Script(ctx, fl.Targets(), script, nil),
		pool.Pull(ctx, fl.Targets(), []string{"output"}, "", shoal.PullOptions{}),
	} {
		for res, err := range results {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%v, held %v: %q\n", res.Outcome, res.Connection.Held, res.Stdout.Bytes)
		}
	}
	// Output:
	// ok, held false: "written: 6 bytes\n"
	// ok, held false: "written: 6 bytes\n"
	// ok, held true: ""
	// ok, held true: ""
	// ok, held true: "1\n2\n3\n"
	// ok, held true: "1\n2\n3\n"
}

// Files and scripts go over held connections by SFTP too, and where the connection has ended meanwhile
// they are sent once all the same.
func TestPoolCopies(t *testing.T) {
	t.Parallel()
	fl, opts := sim(t, simfleet.Options{Hosts: 4, RecordNames: true})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789abcdef"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	pool, err := shoal.NewPool(opts, shoal.Hold{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	for i, via := range []string{"sh", "sftp", "auto", "sh"} {
		if i == 3 {
			pool.Refresh()
		}
		for _, res := range collect(t, pool.Push(t.Context(), fl.Targets(), []string{file}, fmt.Sprint("to", i), shoal.PushOptions{Via: via})) {
			if res.Outcome != fleet.OutcomeOK || res.Connection.Held != (i == 1 || i == 2) {
				t.Errorf("%s, push %d: %v, held %v: %v", via, i, res.Outcome, res.Connection.Held, res.Err)
			}
		}
		for _, res := range collect(t, pool.Pull(t.Context(), fl.Targets(), []string{"to0"}, "", shoal.PullOptions{Via: via})) {
			if res.Outcome != fleet.OutcomeOK || !res.Connection.Held || len(res.Stdout.Bytes) != 160_000 {
				t.Errorf("%s, pull %d: %v, held %v, %d bytes: %v", via, i, res.Outcome, res.Connection.Held, len(res.Stdout.Bytes), res.Err)
			}
		}
	}
	if n := fl.Stats().Authenticated; n != 8 {
		t.Errorf("%d logins of 4 hosts", n)
	}
}

// Over many runs on held connections, of which some close, are reset, hang, exchange keys or lead to
// a host with another key, every result is what the servers saw.
func TestPoolOracle(t *testing.T) {
	t.Parallel()
	ticks, hosts := *poolTicks, *poolHosts
	changed := make([]atomic.Bool, hosts)
	fl, opts := simulatedFor(t, simfleet.Options{Hosts: hosts, RekeyBytes: 1 << 10, Fault: func(i int) simfleet.Fault {
		if changed[i].Load() {
			return simfleet.FaultWrongHostkey
		}
		return simfleet.FaultNone
	}})
	opts.Limits.Attempts = 2
	// A tick takes as long as the last of those that hang: in the middle of a command four times Alive.
	opts.Timeouts = shoal.Timeouts{
		Kex: 5 * time.Second, Auth: 5 * time.Second, Session: time.Second, Drain: time.Second, Alive: 500 * time.Millisecond,
	}
	pool, err := shoal.NewPool(opts, shoal.Hold{})
	if err != nil {
		t.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(1, uint64(ticks)))
	var all []fleet.Result
	connections := make(map[fleet.DialReason]int)
	reasons := make(map[fleet.Reason]int)
	for tick := range ticks {
		targets := func(yield func(shoal.Target) bool) {
			for i := range hosts {
				if !yield(shoal.Target{Host: fl.Host(i), Index: i}) {
					return
				}
			}
		}
		command := fmt.Sprintf("echo %d {index}; echo err >&2; exit %d", tick, tick%3)
		n := 0
		for res, err := range pool.Run(t.Context(), targets, command) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == hosts/2 {
				disturb(fl, dice, hosts/40) // while commands run
			}
			switch c := res.Connection; {
			case c == nil:
				t.Errorf("%s: nothing says which connection it was", res.Target.Host)
			case c.Held:
				connections["held"]++
			default:
				connections[c.Why]++
			}
			if res.Reason != fleet.ReasonNone {
				reasons[res.Reason]++
			}
			res.Target.Index += tick * hosts
			all = append(all, res)
		}
		for i := range changed {
			if changed[i].Store(dice.IntN(50) == 0); changed[i].Load() {
				fl.Disturb(i, simfleet.DisturbClose) // so that the next tick meets the key
			}
		}
		disturb(fl, dice, hosts/10)
	}
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	if err := fl.Close(); err != nil {
		t.Error(err)
	}
	if r := simfleet.Check(fl.Log(), slices.Values(all), ticks*hosts); !r.OK() {
		t.Error(r)
	}
	t.Logf("connections %v, reasons %v", connections, reasons)
	if connections["held"] < ticks*hosts/2 || connections[fleet.DialLost] == 0 || reasons[fleet.ReasonHostkeyChanged] == 0 {
		t.Error("too few were held, lost or changed for the test to say something")
	}
}

func disturb(fl *simulation, dice *rand.Rand, n int) {
	for range n {
		fl.Disturb(dice.IntN(*poolHosts), []simfleet.Disturbance{
			simfleet.DisturbClose, simfleet.DisturbReset, simfleet.DisturbClose, simfleet.DisturbHang,
		}[dice.IntN(4)])
	}
}

// simulatedFor is simulated for a test.
func simulatedFor(t *testing.T, o simfleet.Options) (*simulation, shoal.Options) {
	t.Helper()
	fl, opts := simulated(o)
	t.Cleanup(fl.close)
	return fl, opts
}

// A line that was removed from known_hosts lets a connection go before its next use, and what
// replaces it is refused.
func TestPoolChecksKnownHosts(t *testing.T) {
	t.Parallel()
	fl, opts := simulatedFor(t, simfleet.Options{Hosts: 2})
	pool, err := shoal.NewPool(opts, shoal.Hold{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	run := func() (got [2]shoal.Result) {
		for res, err := range pool.Run(t.Context(), fl.Targets(), "echo {index}") {
			if err != nil {
				t.Fatal(err)
			}
			got[res.Target.Index] = res
		}
		return got
	}
	run()
	if n := pool.Idle(); n != 2 {
		t.Errorf("%d connections are held", n)
	}
	path := opts.HostKeys.Files[0]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(bytes.Lines(text))
	if err := os.WriteFile(path, lines[1], 0o600); err != nil {
		t.Fatal(err)
	}
	got := run()
	if r := got[0]; r.Outcome != fleet.OutcomeNeverStarted || r.Reason != fleet.ReasonHostkeyUnknown || r.Connection.Why != fleet.DialHostKey {
		t.Errorf("without its line: %v(%s), %+v", r.Outcome, r.Reason, r.Connection)
	}
	if r := got[1]; r.Outcome != fleet.OutcomeOK || !r.Connection.Held {
		t.Errorf("with its line: %v(%s), %+v", r.Outcome, r.Reason, r.Connection)
	}
	pool.Refresh()
	if r := run()[1]; r.Connection.Held || r.Connection.Why != fleet.DialExpired {
		t.Errorf("after Refresh: %+v", r.Connection)
	}
}

// BenchmarkPool measures a further command on held connections; servers are included, and have the
// label side=server in a profile.
func BenchmarkPool(b *testing.B) {
	const hosts = 500
	var fl *simulation
	var opts shoal.Options
	pprof.Do(b.Context(), pprof.Labels("side", "server"), func(context.Context) {
		fl, opts = simulated(simfleet.Options{Hosts: hosts, DiscardLog: true})
	})
	defer fl.close()
	pool, err := shoal.NewPool(opts, shoal.Hold{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	run := func() {
		for res, err := range pool.Run(b.Context(), fl.Targets(), "true") {
			if err != nil || res.Outcome != fleet.OutcomeOK {
				b.Fatal(res, err)
			}
		}
	}
	run()
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(b.N*hosts)/b.Elapsed().Seconds(), "commands/s")
}
