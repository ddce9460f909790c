package run

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hold"
)

// balanced is a server in whose place one machine after the other answers, the last one from
// then on, with the host key of all.
type balanced struct {
	net.Listener
	key      xssh.Signer
	machines []string // the lines of each one's answer about a marker; "" is none
	asked    atomic.Int32
	all      sync.WaitGroup
}

func newKeyPair(t *testing.T) xssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func balance(t *testing.T, key xssh.Signer, machines ...string) *balanced {
	t.Helper()
	var err error
	b := &balanced{key: key, machines: machines}
	if b.Listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	b.all.Go(func() {
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			answer := b.machines[min(int(b.asked.Add(1)), len(b.machines))-1]
			b.all.Go(func() { b.serve(c, answer) })
		}
	})
	t.Cleanup(func() {
		_ = b.Close()
		b.all.Wait()
	})
	return b
}

var nonceOf = regexp.MustCompile(`_n=([^;]+);`)

func (b *balanced) serve(nc net.Conn, answer string) {
	defer func() { _ = nc.Close() }()
	config := &xssh.ServerConfig{NoClientAuth: true, PublicKeyCallback: func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) {
		return nil, nil
	}}
	config.AddHostKey(b.key)
	_, channels, requests, err := xssh.NewServerConn(nc, config)
	if err != nil {
		return
	}
	go xssh.DiscardRequests(requests)
	for opened := range channels {
		ch, requests, err := opened.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(r.Type == "exec", nil)
			if found := nonceOf.FindSubmatch(r.Payload); found != nil && answer != "" {
				_, _ = fmt.Fprintf(ch, "shoal/1 %s\n%send %s\n", found[1], answer, found[1])
				_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
				_ = ch.Close()
			}
		}
	}
}

// Algorithms, Check and Accepted implement ssh.HostKeys, and Signers ssh.Identities.
func (b *balanced) Algorithms(ssh.Target) []string { return nil }

func (b *balanced) Check(_ ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if !bytes.Equal(key.Marshal(), b.key.PublicKey().Marshal()) {
		return fmt.Errorf("another key")
	}
	return nil
}

func (b *balanced) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (b *balanced) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	return []xssh.Signer{b.key}, nil
}

// That a marker says never is no proof if another machine may answer than that to which the
// command was sent.
func TestNeverOnAnotherMachine(t *testing.T) {
	const (
		one      = "at boot-1 pid:[1] a\nstate never\nup 999\n"
		other    = "at boot-2 pid:[1] b\nstate never\nup 999\n"
		absent   = "at boot-2 pid:[1] b\nstate absent\nup 999\n"
		ran      = "at boot-2 pid:[1] b\nstate ended exit 3\nup 999\n"
		anything = "state never\nup 999\n"
	)
	lost := fleet.Result{Attempt: 1, End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonConnReset, Phase: fleet.PhaseExec}}
	began, wrote := lost, lost
	began.Phase = fleet.PhaseRun
	accepted := began
	began.Took[fleet.PhaseRun] = claimTime
	wrote.Stdout = fleet.Output{Bytes: []byte("x"), Size: 1}
	for name, c := range map[string]struct {
		machines []string
		was      fleet.Result
		remote   Remote
		script   string // recorded
		outcome  fleet.Outcome
		says     string
		asked    int32
	}{
		"one":                       {machines: []string{one}, was: lost, outcome: fleet.OutcomeNeverStarted, asked: 1 + settleAgain},
		"one that tells no name":    {machines: []string{anything}, was: lost, outcome: fleet.OutcomeNeverStarted, asked: 1 + settleAgain},
		"another has the marker":    {machines: []string{one, one, ran}, was: lost, outcome: fleet.OutcomeFailed, asked: 3},
		"two":                       {machines: []string{one, one, one, one, other}, was: lost, outcome: fleet.OutcomeUnknown, says: "another machine", asked: 5},
		"two, late":                 {machines: []string{one, one, one, one, one, one, one, one, other}, was: lost, outcome: fleet.OutcomeUnknown, says: "another machine", asked: 9},
		"absent on another":         {machines: []string{one, absent}, was: lost, outcome: fleet.OutcomeUnknown, says: "another machine", asked: 2},
		"no second answer":          {machines: []string{one, "?\n"}, was: lost, outcome: fleet.OutcomeUnknown, says: "did not say so again", asked: 2},
		"it had begun":              {machines: []string{one}, was: began, outcome: fleet.OutcomeUnknown, says: "had begun", asked: 1 + settleAgain},
		"it had accepted it":        {machines: []string{one}, was: accepted, outcome: fleet.OutcomeNeverStarted, asked: 1 + settleAgain},
		"it had output":             {machines: []string{one}, was: wrote, outcome: fleet.OutcomeUnknown, says: "had begun", asked: 1 + settleAgain},
		"a script was not all sent": {machines: []string{one}, was: began, script: "x", outcome: fleet.OutcomeNeverStarted, asked: 1 + settleAgain},
	} {
		t.Run(name, func(t *testing.T) {
			b := balance(t, newKeyPair(t), c.machines...)
			port := b.Addr().(*net.TCPAddr).AddrPort().Port()
			target := fleet.Target{Host: fleet.Host{Name: "127.0.0.1", Port: port}, User: "u", Port: port, Command: "true"}
			j, err := journal.Open(t.Context(), t.TempDir(), journal.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = j.Close() }()
			options := Remote{Once: true, key: newKey()}.options()
			if c.script != "" {
				options[optionScript] = c.script
			}
			r, err := j.Begin(t.Context(), journal.RunInfo{Options: options}, slices.Values([]fleet.Target{target}))
			if err != nil {
				t.Fatal(err)
			}
			c.was.Target = target
			for _, err := range []error{r.Intend(0, 1, netip.AddrPort{}), r.Result(c.was), r.End(journal.Ending{})} {
				if err != nil {
					t.Fatal(err)
				}
			}
			d, err := client.New(client.Options{HostKeys: b, Identities: b})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = d.Close() }()
			info, _, err := ReadMarked(t.Context(), j, "last")
			if err != nil {
				t.Fatal(err)
			}
			q, err := Inquire(t.Context(), j, info, Unresolved)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.Reach(engine.Options{Dialer: d, Attempts: 1}, slices.Values([]ssh.Target{{Target: target}})); err != nil {
				t.Fatal(err)
			}
			for r, err := range q.Resolve(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				said := fmt.Sprint(r.Result.Err)
				if known := c.outcome != fleet.OutcomeUnknown; r.Result.Outcome != c.outcome || r.Known != known || !strings.Contains(said, c.says) {
					t.Errorf("%v, known %v: %s", r.Result.Outcome, r.Known, said)
				}
			}
			if n := b.asked.Load(); n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
			if err := q.End(0); err != nil {
				t.Error(err)
			}
		})
	}
}

// The answer never is not asked for again on the connection on which it came.
func TestAskedOnNewConnections(t *testing.T) {
	b := balance(t, newKeyPair(t), "at boot-1 pid:[1] a\nstate never\nup 999\n", "at boot-2 pid:[1] b\nstate ended exit 0\nup 999\n")
	port := b.Addr().(*net.TCPAddr).AddrPort().Port()
	target := ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "127.0.0.1"}, User: "u", Port: port}}
	pool, err := hold.New(hold.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	d, err := client.New(client.Options{HostKeys: pool.HostKeys(), Identities: b})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	pool.SetDialer(d)
	pool.Use(b, nil)
	for reply, err := range QuerySettled(t.Context(), engine.Options{Dialer: pool, Attempts: 1}, time.Minute, slices.Values([]ssh.Target{target}),
		func(_ fleet.Target, nonce string) (string, error) {
			return remote.Marker{Run: "r"}.Settle(nonce)
		}, func(int) (netip.AddrPort, error) { return netip.AddrPort{}, nil }) {
		if err != nil || reply.Err != nil || reply.Report.State != remote.StateEnded {
			t.Errorf("%+v, %v", reply, err)
		}
	}
}

// A host with a name is asked again at the address to which its command was sent.
func TestAskedAtTheSameAddress(t *testing.T) {
	key := newKeyPair(t)
	b := balance(t, key, "at boot-1 pid:[1] a\nstate never\nup 999\n")
	behind := balance(t, key, "at boot-2 pid:[1] b\nstate ended exit 0\nup 999\n") // to which the name led then
	port := b.Addr().(*net.TCPAddr).AddrPort().Port()
	target := ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "localhost"}, User: "u", Port: port}}
	d, err := client.New(client.Options{HostKeys: b, Identities: b})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	address := behind.Addr().(*net.TCPAddr).AddrPort()
	for reply, err := range QuerySettled(t.Context(), engine.Options{Dialer: d, Attempts: 1}, time.Minute, slices.Values([]ssh.Target{target}),
		func(_ fleet.Target, nonce string) (string, error) {
			return remote.Marker{Run: "r"}.Settle(nonce)
		}, func(int) (netip.AddrPort, error) { return address, nil }) {
		if err != nil || reply.Err != nil || reply.Report.State != remote.StateEnded {
			t.Errorf("%+v, %v", reply, err)
		}
	}
	if first, again := b.asked.Load(), behind.asked.Load(); first != 1 || again != 1 {
		t.Errorf("asked %d times by name and %d at the address", first, again)
	}
}

// onlyPlan is the plan of one target that is reached directly.
type onlyPlan struct{ target fleet.Target }

func (p onlyPlan) Targets() iter.Seq[ssh.Target] {
	return slices.Values([]ssh.Target{{Target: p.target}})
}

func (p onlyPlan) Recorded() iter.Seq[fleet.Target] { return slices.Values([]fleet.Target{p.target}) }
func (onlyPlan) Planned(t fleet.Target) ssh.Target  { return ssh.Target{Target: t} }

// The address to which the command is sent is recorded before, for a host that has a name.
func TestAddressIsRecorded(t *testing.T) {
	for _, name := range []string{"localhost", "127.0.0.1"} {
		b := balance(t, newKeyPair(t), "at boot-1 pid:[1] a\n")
		address := b.Addr().(*net.TCPAddr).AddrPort()
		d, err := client.New(client.Options{HostKeys: b, Identities: b})
		if err != nil {
			t.Fatal(err)
		}
		j, err := journal.Open(t.Context(), t.TempDir(), journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		target := fleet.Target{Host: fleet.Host{Name: name}, User: "u", Port: address.Port(), Command: "true"}
		r, err := Begin(t.Context(), j, journal.RunInfo{}, Remote{Once: true}, onlyPlan{target})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range r.Results(t.Context(), Options{Engine: engine.Options{Dialer: d}}) {
			if err != nil {
				t.Error(err)
			}
		}
		if err := r.End(journal.Ending{}); err != nil {
			t.Error(err)
		}
		info, err := j.Run(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range j.Show(t.Context(), r.ID, journal.All) {
			want := netip.AddrPort{}
			if name == "localhost" {
				want = address
			}
			if err != nil || len(e.Intents) != 1 || info.AddressOf(&e, 0) != want || e.Outcome != fleet.OutcomeOK {
				t.Errorf("%s: %v at %v, %v", name, e.Outcome, e.Intents, err)
			}
		}
		if err := errors.Join(j.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	}
}

// moving is a Dialer to a host whose name leads to another machine, on another port, from the second
// connection on.
type moving struct {
	ssh.Dialer
	port  uint16
	dials atomic.Int32
}

func (m *moving) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	given := *a
	if m.dials.Add(1) > 1 && a.At == nil {
		given.Target.Port = m.port
	}
	return m.Dialer.Dial(ctx, &given)
}

// Who kills a command asks the machine to which it was sent, also if no journal has its address: another
// would say that it never started.
func TestKilledAtTheSameAddress(t *testing.T) {
	key := newKeyPair(t)
	b := balance(t, key, "", "at boot-1 pid:[1] a\nstate ended killed 137\nkill ended\nup 999\n")
	other := balance(t, key, "at boot-2 pid:[1] b\nstate never\nkill gone\nup 999\n")
	port := b.Addr().(*net.TCPAddr).AddrPort().Port()
	target := fleet.Target{Host: fleet.Host{Name: "localhost"}, User: "u", Port: port, Command: "true"}
	d, err := client.New(client.Options{HostKeys: b, Identities: b})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	r, err := Begin(t.Context(), nil, journal.RunInfo{}, Remote{KillOnCancel: true}, onlyPlan{target})
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Options{
		Dialer: &moving{Dialer: d, port: other.Addr().(*net.TCPAddr).AddrPort().Port()}, Attempts: 1, CommandTimeout: time.Millisecond,
	}
	for res, err := range r.Results(t.Context(), Options{Engine: o}) {
		if err != nil || res.Outcome != fleet.OutcomeSignalled || res.Reason != fleet.ReasonKilled {
			t.Errorf("%v %s: %v, %v", res.Outcome, res.Reason, res.Err, err)
		}
	}
	if len(r.GivenUp()) > 0 || b.asked.Load() != 2 || other.asked.Load() != 1 {
		t.Errorf("given up %v; %d connections to the machine, %d to the other", r.GivenUp(), b.asked.Load(), other.asked.Load())
	}
}

// A consumer of results that panics does not wait for ever.
func TestKillerOfAConsumerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if p := recover(); p != "of the consumer" {
				t.Errorf("recovered %v", p)
			}
		}()
		k := newKiller(engine.Options{Dialer: redialer{}}, onlyPlan{}, wrap.Options{})
		one := func(yield func(fleet.Result, error) bool) { yield(fleet.Result{}, nil) }
		for _, err := range k.results(t.Context(), one) {
			if err == nil {
				panic("of the consumer")
			}
		}
	})
}

// A marker that says never is believed of a host that workers have dialled by its name only if it is known
// which address that was.
func TestDialledByWorkers(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.7:22")
	for _, c := range []struct {
		workers bool
		target  fleet.Target
		at      netip.AddrPort
		believe bool
	}{
		{false, fleet.Target{Host: fleet.Host{Name: "web1"}}, netip.AddrPort{}, true},
		{true, fleet.Target{Host: fleet.Host{Name: "web1"}}, netip.AddrPort{}, false},
		{true, fleet.Target{Host: fleet.Host{Name: "web1"}}, at, true},
		{true, fleet.Target{Host: fleet.Host{Name: "2001:db8::1"}}, netip.AddrPort{}, true},
		{true, fleet.Target{Host: fleet.Host{Name: "web1"}, Route: &fleet.Route{Address: "192.0.2.7"}}, netip.AddrPort{}, true},
		{true, fleet.Target{Host: fleet.Host{Name: "192.0.2.7"}, Route: &fleet.Route{Address: "inside"}}, netip.AddrPort{}, false},
	} {
		if got, err := dialledBy(c.workers, c.target, c.at); got != c.at || (err == nil) != c.believe {
			t.Errorf("workers %v, %v, dialled %v: %v, %v", c.workers, c.target.Host, c.at, got, err)
		}
	}
	key := newKeyPair(t)
	b := balance(t, key, "at boot-1 pid:[1] a\nstate never\nup 999\n")
	d, err := client.New(client.Options{HostKeys: b, Identities: b})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	target := ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "localhost"}, User: "u", Port: b.Addr().(*net.TCPAddr).AddrPort().Port()}}
	replies := 0
	for reply, err := range QuerySettled(t.Context(), engine.Options{Dialer: d, Attempts: 1}, time.Minute, slices.Values([]ssh.Target{target}),
		func(_ fleet.Target, nonce string) (string, error) { return remote.Marker{Run: "r"}.Settle(nonce) },
		func(int) (netip.AddrPort, error) { return dialledBy(true, target.Target, netip.AddrPort{}) }) {
		if replies++; err != nil || !errors.Is(reply.Err, errAddress) {
			t.Errorf("%+v, %v", reply, err)
		}
	}
	if replies != 1 {
		t.Errorf("%d replies", replies)
	}
}
