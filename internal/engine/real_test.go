package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// signers are the user keys of all tests.
type signers []xssh.Signer

func (s signers) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return s, nil }

// fixed trusts the hosts' expected keys.
type fixed func(t fleet.Target) xssh.PublicKey

func (fixed) Algorithms(ssh.Target) []string { return nil }

func (f fixed) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if string(f(t.Target).Marshal()) != string(key.Marshal()) {
		return errors.New("another host key")
	}
	return nil
}

func (fixed) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func newDialer(t testing.TB, keys fixed, key xssh.Signer, timeouts ssh.Timeouts) *client.Dialer {
	t.Helper()
	d, err := client.New(client.Options{HostKeys: keys, Identities: signers{key}, Timeouts: timeouts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func startFleet(t testing.TB, o simfleet.Options) *simfleet.Fleet {
	t.Helper()
	f, err := simfleet.Start(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// fleetKeys knows the host keys of a fleet by its addresses.
func fleetKeys(f *simfleet.Fleet) fixed {
	return func(t fleet.Target) xssh.PublicKey {
		i, err := simfleet.Index(t.Host.Name)
		if err != nil {
			panic(err)
		}
		return f.HostKey(i)
	}
}

// upon returns n targets over the hosts of a fleet, each with its own command.
func upon(f *simfleet.Fleet, hosts, n int) iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		for i := range n {
			h := f.Host(i % hosts)
			t := fleet.Target{Host: h, Index: i, User: "someone", Port: h.Port, Command: fmt.Sprintf("echo target %d", i)}
			if !yield(t) {
				return
			}
		}
	}
}

// faults are the faults that end by themselves, or by the deadlines of the test.
var faults = []simfleet.Fault{
	simfleet.FaultReset, simfleet.FaultSilent, simfleet.FaultCloseAfterVersion, simfleet.FaultCloseAfterKexinit,
	simfleet.FaultAuthRefused, simfleet.FaultSessionRefused, simfleet.FaultExecRefused, simfleet.FaultExecStall,
	simfleet.FaultDropMidOutput, simfleet.FaultNoExitStatus, simfleet.FaultExitSignal, simfleet.FaultDropAfterExit,
}

// Whatever fails, is retried or stopped: every target has one result, nothing has
// run twice, and the results agree with the oracle.
func TestOracle(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			testOracle(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

func testOracle(t *testing.T, dice *rand.Rand) {
	const hosts = 40
	n := hosts * (1 + dice.IntN(2))
	var mu sync.Mutex // the dice are thrown by many
	bad := dice.Float64() / 2
	f := startFleet(t, simfleet.Options{Hosts: hosts, Fault: func(int) simfleet.Fault {
		mu.Lock()
		defer mu.Unlock()
		if dice.Float64() > bad {
			return simfleet.FaultNone
		}
		return faults[dice.IntN(len(faults))]
	}})
	limit := 500 * time.Millisecond
	mu.Lock()
	drain := make(chan struct{})
	ctx, abort := context.WithCancel(t.Context())
	defer abort()
	intents := make([]int, n)
	opts := engine.Options{
		Dialer: newDialer(t, fleetKeys(f), f.ClientKey(), ssh.Timeouts{Kex: limit, Auth: limit, Session: limit, Drain: limit}),
		Fanout: 1 + dice.IntN(30), Attempts: dice.IntN(4), Starts: dice.IntN(4) - 1, Targets: n, Drain: drain,
		Lookups: dice.IntN(3), Rate: []float64{0, 100}[dice.IntN(2)], FailFast: dice.IntN(8) == 0,
		Intend: func(tg fleet.Target, attempt int, _ netip.AddrPort) error {
			mu.Lock()
			defer mu.Unlock()
			intents[tg.Index]++
			return nil
		},
	}
	if dice.IntN(3) == 0 {
		opts.Rollout = shares(t, "1", "10%", "50%")
	}
	if dice.IntN(3) == 0 {
		opts.MaxFail = share(t, "20%")
	}
	after := time.Duration(dice.IntN(3000)) * time.Millisecond
	switch dice.IntN(3) {
	case 0:
		time.AfterFunc(after, func() { close(drain) })
	case 1:
		time.AfterFunc(after, abort)
	}
	mu.Unlock()

	var results []fleet.Result
	for res, err := range engine.Run(ctx, opts, engine.Direct(upon(f, hosts, n))) {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
	}
	_ = f.Close()
	if report := simfleet.Check(f.Log(), slices.Values(results), n); !report.OK() {
		t.Errorf("%+v:\n%v", opts, report)
	}
	for _, e := range f.Log() {
		var i int
		if _, err := fmt.Sscanf(e.Command, "echo target %d", &i); err != nil || intents[i] == 0 {
			t.Errorf("%q ran and nobody intended it", e.Command)
		}
	}
	for _, res := range results {
		most := opts.Attempts
		if most == 0 {
			most = engine.DefaultAttempts
		}
		if res.Attempt > most || len(res.Earlier) > max(0, res.Attempt-1) {
			t.Errorf("target %d: attempt %d of %d after %d others", res.Target.Index, res.Attempt, most, len(res.Earlier))
		}
		for _, e := range res.Earlier {
			if e.Outcome != fleet.OutcomeNeverStarted {
				t.Errorf("target %d was tried again after %v %s", res.Target.Index, e.Outcome, e.Reason)
			}
		}
	}
}

// Many targets on one sshd with its default MaxStartups, 10:30:100: every one
// succeeds.
func TestDefaultMaxStartups(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	res := onServer(t, s, engine.Options{}, 80)
	if res.ok != 80 {
		t.Errorf("%d of 80 ok: %v", res.ok, res.reasons)
	}
	if log := s.Log(); strings.Contains(log, "penalty") {
		t.Errorf("the server was made to punish us:\n%.2000s", log)
	}
}

// A simulated server with a hard limit that is not known beforehand.
func TestUnknownMaxStartups(t *testing.T) {
	const n = 200
	for _, limit := range []simfleet.Startups{{Start: 3, Rate: 50, Full: 5}, {Start: 10, Rate: 30, Full: 100}, {Start: 150, Rate: 100, Full: 150}} {
		t.Run(limit.String(), func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, simfleet.Options{Hosts: 1, MaxStartups: limit, Latency: 2 * time.Millisecond})
			opts := engine.Options{Dialer: newDialer(t, fleetKeys(f), f.ClientKey(), ssh.Timeouts{})}
			counts, dropped := map[fleet.Outcome]int{}, 0
			for res, err := range engine.Run(t.Context(), opts, engine.Direct(upon(f, 1, n))) {
				if err != nil {
					t.Fatal(err)
				}
				counts[res.Outcome]++
				dropped += len(res.Earlier)
			}
			if counts[fleet.OutcomeOK] != n || dropped > n/4 {
				t.Errorf("%v and %d attempts that were turned away, want %d ok", counts, dropped, n)
			}
		})
	}
}

type onOne struct {
	ok, again int
	reasons   map[fleet.Reason]int
}

// onServer runs echo n times on one real server.
func onServer(t testing.TB, s *sshdtest.Server, opts engine.Options, n int) onOne {
	t.Helper()
	opts.Dialer = newDialer(t, func(fleet.Target) xssh.PublicKey { return s.HostKey }, s.Signer, ssh.Timeouts{})
	return collected(t, engine.Run(t.Context(), opts, engine.Direct(func(yield func(fleet.Target) bool) {
		for i := range n {
			if !yield(fleet.Target{Host: s.Host, Index: i, User: s.User, Port: s.Host.Port, Command: "echo hello"}) {
				return
			}
		}
	})))
}

func collected(t testing.TB, results iter.Seq2[fleet.Result, error]) onOne {
	t.Helper()
	got := onOne{reasons: map[fleet.Reason]int{}}
	for res, err := range results {
		if err != nil {
			t.Fatal(err)
		}
		if res.Outcome == fleet.OutcomeOK {
			got.ok++
		}
		got.reasons[res.Reason]++
		got.again += len(res.Earlier)
	}
	return got
}
