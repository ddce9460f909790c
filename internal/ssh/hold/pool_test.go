package hold

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostkeys"
	"shoal/simfleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keys are the keys of a fleet, of which some may be distrusted.
type keys struct {
	fleet    *simfleet.Fleet
	anything bool // as under --host-key insecure
	refused  map[string]bool
}

func (k keys) Algorithms(ssh.Target) []string { return nil }

func (k keys) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	switch {
	case k.refused[t.Host.Name]:
		return &fleet.Error{Reason: fleet.ReasonHostkeyRevoked, Err: errors.New("revoked")}
	case k.anything || bytes.Equal(key.Marshal(), k.fleet.HostKey(t.Index).Marshal()):
		return nil
	}
	return errors.New("another key")
}

func (keys) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (k keys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	return []xssh.Signer{k.fleet.ClientKey()}, nil
}

// A rig is a pool before a fleet.
type rig struct {
	*Pool
	fleet *simfleet.Fleet
}

func newRig(t *testing.T, o Options, hosts int, fault func(int) simfleet.Fault, timeouts ...ssh.Timeouts) *rig {
	t.Helper()
	f, err := simfleet.Start(context.Background(), simfleet.Options{Hosts: hosts, Fault: fault})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	d, err := client.New(client.Options{HostKeys: p.HostKeys(), Identities: keys{fleet: f}, Timeouts: cmp.Or(timeouts...)})
	if err != nil {
		t.Fatal(err)
	}
	p.SetDialer(d)
	p.Use(keys{fleet: f}, keys{fleet: f})
	t.Cleanup(func() {
		p.Close()
		if err := errors.Join(d.Close(), f.Close()); err != nil {
			t.Error(err)
		}
	})
	return &rig{p, f}
}

func (r *rig) attempt(i int, command string) (*ssh.Attempt, *bytes.Buffer) {
	host, out := r.fleet.Host(i), new(bytes.Buffer)
	return &ssh.Attempt{
		Progress: new(ssh.Progress), Stdout: out,
		Target: ssh.Target{Target: fleet.Target{Host: host, Index: i, User: "u", Port: host.Port, Command: command}},
	}, out
}

// run runs a command and returns its end, its output and its connection.
func (r *rig) run(ctx context.Context, i int, command string, change ...func(*ssh.Attempt)) (fleet.End, string, fleet.Connection) {
	a, out := r.attempt(i, command)
	for _, c := range change {
		c(a)
	}
	c, err := r.Dial(ctx, a)
	if err != nil {
		f, _ := errors.AsType[*fleet.Error](err)
		return f.End(), "", *a.Connection
	}
	done := make(chan fleet.End, 1)
	c.Start(ctx, func(end fleet.End) { done <- end })
	end := <-done
	return end, out.String(), *a.Connection
}

// want runs a command that must be ok, on a connection of this kind: held if why is "".
func (r *rig) want(t *testing.T, i int, why fleet.DialReason, change ...func(*ssh.Attempt)) {
	t.Helper()
	end, out, c := r.run(t.Context(), i, "echo ran", change...)
	if end.Outcome != fleet.OutcomeOK || out != "ran\n" || c.Held != (why == "") || c.Why != why {
		t.Errorf("host %d: %v(%s), output %q, connection %+v; want held or %q\n%v", i, end.Outcome, end.Reason, out, c, why, end.Err)
	}
}

func TestHeld(t *testing.T) {
	r := newRig(t, Options{}, 2, nil)
	r.want(t, 0, fleet.DialNew)
	r.want(t, 0, "")
	r.want(t, 1, fleet.DialNew)
	with := func(s ssh.Settings) func(*ssh.Attempt) {
		return func(a *ssh.Attempt) { a.Target.Endpoint = &ssh.Endpoint{Settings: &s} }
	}
	r.want(t, 0, fleet.DialSettings, with(ssh.Settings{AliveMax: 7}))
	r.want(t, 0, "", with(ssh.Settings{AliveMax: 7})) // equal, elsewhere in memory
	r.want(t, 0, fleet.DialNew, func(a *ssh.Attempt) { a.Target.User = "other" })
	r.Refresh()
	r.want(t, 1, fleet.DialExpired)
	r.Use(keys{fleet: r.fleet, refused: map[string]bool{r.fleet.Host(1).Name: true}}, nil)
	if end, _, c := r.run(t.Context(), 1, "echo ran"); end.Reason != fleet.ReasonHostkeyRevoked || c.Why != fleet.DialHostKey {
		t.Errorf("with a revoked key: %+v, %+v", end, c)
	}
}

// A connection is not used once the key that logged in is not among ours any more.
func TestUserKeyGone(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	own := func(a *ssh.Attempt) { a.Target.Endpoint = &ssh.Endpoint{Settings: &ssh.Settings{}} }
	r.want(t, 0, fleet.DialNew, own)
	r.want(t, 0, "", own)
	r.Use(keys{fleet: r.fleet}, noKeys{})
	r.want(t, 0, fleet.DialUserKey, own)
	r.Use(keys{fleet: r.fleet}, keys{fleet: r.fleet})
	r.want(t, 0, "", own)
}

// noKeys is an agent whose keys were removed.
type noKeys struct{}

func (noKeys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return nil, nil }

// Beyond the limit the connection that was used the longest ago goes.
func TestMax(t *testing.T) {
	r := newRig(t, Options{Max: 2}, 3, nil)
	r.want(t, 0, fleet.DialNew)
	r.want(t, 1, fleet.DialNew)
	r.want(t, 0, "")
	r.want(t, 2, fleet.DialNew)
	r.want(t, 1, fleet.DialLetGo)
	r.want(t, 2, "")
	if n := r.Idle(); n != 2 {
		t.Errorf("%d are idle", n)
	}
}

// A connection is not used beyond its age, which goes on while the machine sleeps.
func TestMaxAge(t *testing.T) {
	r := newRig(t, Options{MaxAge: time.Nanosecond}, 1, nil)
	r.want(t, 0, fleet.DialNew)
	r.want(t, 0, fleet.DialExpired)
	now := time.Now()
	h := held{login: now.Add(-time.Minute)}
	if age := h.age(now); age != time.Minute {
		t.Errorf("it is %v old", age)
	}
	h.login = now.Add(time.Minute) // the clock was set back
	if h.age(now.Add(2*time.Minute)) != time.Minute {
		t.Error("the age is not that of the steady clock")
	}
}

// Two targets with one endpoint do not share a connection at the same time.
func TestInUse(t *testing.T) {
	r := newRig(t, Options{Interrupt: true}, 1, nil)
	r.want(t, 0, fleet.DialNew)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := make(chan struct{}, 100)
	ended := make(chan fleet.End, 1)
	go func() {
		end, _, _ := r.run(ctx, 0, "echo on; sleep 3600", func(a *ssh.Attempt) {
			a.Stdout = writer(func() { running <- struct{}{} })
		})
		ended <- end
	}()
	<-running
	r.want(t, 0, fleet.DialInUse)
	cancel()
	if end := <-ended; end.Outcome != fleet.OutcomeUnknown {
		t.Errorf("interrupted: %+v", end)
	}
	if n := r.Idle(); n != 2 {
		t.Errorf("%d are idle, want also the one whose command was interrupted", n)
	}
}

type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }

// Where known_hosts does not vouch for the key, another one than before is refused.
func TestReplacedKey(t *testing.T) {
	var other atomic.Bool
	r := newRig(t, Options{}, 1, func(int) simfleet.Fault {
		if other.Load() {
			return simfleet.FaultWrongHostkey
		}
		return simfleet.FaultNone
	})
	r.Use(keys{fleet: r.fleet, anything: true}, nil)
	r.want(t, 0, fleet.DialNew)
	other.Store(true)
	r.want(t, 0, "") // it is not dialled
	r.Refresh()
	end, _, c := r.run(t.Context(), 0, "echo must not run")
	if end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonHostkeyReplaced || c.Why != fleet.DialExpired {
		t.Errorf("%+v, %+v", end, c)
	}
	if n := len(r.fleet.Log()); n != 2 {
		t.Errorf("%d commands ran", n)
	}
}

// Many attempts at the same time, while servers close and hang up: each command runs once.
func TestManyAtOnce(t *testing.T) {
	const hosts, each = 20, 10
	r := newRig(t, Options{Max: hosts / 2}, hosts, nil)
	var all sync.WaitGroup
	for i := range hosts {
		all.Go(func() {
			for n := range each {
				want := fmt.Sprintf("%d %d\n", i, n)
				end, out, _ := r.run(t.Context(), i, "echo "+want[:len(want)-1])
				if end.Outcome == fleet.OutcomeUnknown || end.Outcome == fleet.OutcomeNeverStarted {
					continue // it was disturbed while it was under way
				}
				if end.Outcome != fleet.OutcomeOK || out != want {
					t.Errorf("%+v, output %q, want %q", end, out, want)
				}
				if n%3 == 1 {
					r.fleet.Disturb((i+n)%hosts, simfleet.Disturbance(n/3%2))
				}
			}
		})
	}
	all.Wait()
	seen := make(map[string]int)
	for _, e := range r.fleet.Log() {
		if seen[e.Host+e.Command]++; seen[e.Host+e.Command] > 1 {
			t.Errorf("%s: %s ran twice", e.Host, e.Command)
		}
	}
}

// A server that takes one command on a connection and refuses the next session has the command on
// another connection, once, and the reason is said.
func TestSessionRefused(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	r.inner = refuser{r.inner}
	r.want(t, 0, fleet.DialNew)
	r.want(t, 0, fleet.DialRefused)
	if n := len(r.fleet.Log()); n != 2 {
		t.Errorf("%d commands ran", n)
	}
}

// A refuser is a Dialer whose connections take one command each.
type refuser struct{ ssh.Dialer }

// Dial implements ssh.Dialer.
func (d refuser) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c, err := d.Dialer.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	return refusing{c.(ssh.Keeper)}, nil
}

type refusing struct{ ssh.Keeper }

// StartNext implements ssh.Conn.
func (refusing) StartNext(_ context.Context, a *ssh.Attempt, done func(fleet.End)) {
	done(a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonSessionRefused, errors.New("no more sessions")).End())
}

// After a drain nothing is dialled, and so nothing started, in place of a held connection that turns
// out to be dead.
func TestDeadAndDrained(t *testing.T) {
	for _, when := range []string{"never", "before", "in the queue"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t, Options{Dials: 1}, 1, nil, ssh.Timeouts{Session: 200 * time.Millisecond})
			r.want(t, 0, fleet.DialNew)
			r.fleet.Disturb(0, simfleet.DisturbHang)
			drain := make(chan struct{})
			wait := func() {}
			switch when {
			case "before":
				close(drain)
			case "in the queue":
				r.dials <- struct{}{} // another dials
				var queued sync.WaitGroup
				queued.Go(func() {
					for !r.hasNone(0) {
						time.Sleep(time.Millisecond) // nothing else shows that it waits
					}
					close(drain)
				})
				wait = func() { queued.Wait(); <-r.dials }
			}
			end, _, _ := r.run(t.Context(), 0, "echo ran", func(a *ssh.Attempt) { a.Drain = drain })
			wait()
			want, execs := fleet.OutcomeNeverStarted, 1
			if when == "never" {
				want, execs = fleet.OutcomeOK, 2
			}
			if n := len(r.fleet.Log()); end.Outcome != want || n != execs {
				t.Errorf("ended %v(%s), %d commands ran; want %v, %d: %v", end.Outcome, end.Reason, n, want, execs, end.Err)
			}
		})
	}
}

// hasNone reports whether no connection to host i is held or used.
func (r *rig) hasNone(i int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, _ := r.attempt(i, "")
	at := r.known[nameOf(a.Target.Target)]
	return at.used == 0 && len(at.idle) == 0
}

// Runs may overlap: a key that was checked when one of them began is learned, and known, though another one has begun since,
// with what known_hosts had then.
func TestOverlappingRunsLearn(t *testing.T) {
	r := newRig(t, Options{}, 1, nil)
	path := filepath.Join(t.TempDir(), "known_hosts")
	a, _ := r.attempt(0, "")
	a.Target.Endpoint = &ssh.Endpoint{Settings: &ssh.Settings{Known: ssh.HostKeySpec{Files: []string{path}, Policy: ssh.HostKeysAcceptNew}}}
	var began []*hostkeys.Verifier
	for range 3 {
		v := hostkeys.NewVerifier()
		t.Cleanup(func() { _ = v.Close() })
		if _, err := v.Store(a.Target); err != nil { // known_hosts is read
			t.Fatal(err)
		}
		began = append(began, v)
	}
	keys, key := r.HostKeys(), r.fleet.HostKey(0)
	r.Use(began[0], nil)
	if err := keys.Check(a.Target, nil, key); err != nil {
		t.Fatal(err)
	}
	r.Use(began[1], nil)
	if err := keys.Accepted(t.Context(), a.Target, key); err != nil {
		t.Error(err)
	}
	r.Use(began[2], nil)
	if err := keys.(ssh.PasswordGuard).AllowPassword(t.Context(), a.Target, key); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("known_hosts: %q, %v", text, err)
	}
}
