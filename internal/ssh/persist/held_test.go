package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// A rig is a run that uses a holder, before a fleet.
type rig struct {
	*den
	*Dialer
	fleet *simfleet.Fleet
	keys  *keys
}

func newRig(t *testing.T, o simfleet.Options) *rig {
	t.Helper()
	f, err := simfleet.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	r := &rig{den: newDen(t), fleet: f}
	r.again(t, Options{})
	return r
}

// again is the next run.
func (r *rig) again(t testing.TB, o Options) {
	t.Helper()
	if r.Dialer != nil {
		if err := r.Dialer.Close(); err != nil {
			t.Error(err)
		}
	}
	r.keys = &keys{fleet: r.fleet}
	o.HostKeys, o.Identities = r.keys, r.keys
	r.Dialer = r.dialer(t, o)
}

func (r *rig) attempt(i int, command string) (*ssh.Attempt, *bytes.Buffer) {
	host, out := r.fleet.Host(i), new(bytes.Buffer)
	return &ssh.Attempt{
		Progress: new(ssh.Progress), Stdout: out,
		Target: ssh.Target{Target: fleet.Target{Host: host, Index: i, User: "u", Port: host.Port, Command: command}},
	}, out
}

func run(ctx context.Context, d ssh.Dialer, a *ssh.Attempt) fleet.End {
	c, err := d.Dial(ctx, a)
	if err != nil {
		f, _ := errors.AsType[*fleet.Error](err)
		return f.End()
	}
	done := make(chan fleet.End, 1)
	c.Start(ctx, func(end fleet.End) { done <- end })
	end := <-done
	_ = c.Close()
	return end
}

// want runs a command that must be ok, on a connection of this kind: held if why is "".
func (r *rig) want(t *testing.T, i int, why fleet.DialReason, change ...func(*ssh.Attempt)) {
	t.Helper()
	a, out := r.attempt(i, "echo ran")
	for _, c := range change {
		c(a)
	}
	end := run(t.Context(), r.Dialer, a)
	if c := a.Connection; end.Outcome != fleet.OutcomeOK || out.String() != "ran\n" || c == nil || c.Held != (why == "") || c.Why != why {
		t.Errorf("host %d: %v(%s), output %q, connection %+v; want held or %q\n%v", i, end.Outcome, end.Reason, out, c, why, end.Err)
	}
}

// Later runs use what earlier ones have left, unless they decide otherwise.
func TestHeldBetweenRuns(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 2})
	with := func(s ssh.Settings) func(*ssh.Attempt) {
		return func(a *ssh.Attempt) { a.Target.Endpoint = &ssh.Endpoint{Settings: &s} }
	}
	r.want(t, 0, fleet.DialNew)
	r.want(t, 0, "")
	r.again(t, Options{})
	r.want(t, 0, "")
	r.want(t, 1, fleet.DialNew)
	r.want(t, 0, fleet.DialSettings, with(ssh.Settings{AliveMax: 7}))
	r.want(t, 0, fleet.DialNew, func(a *ssh.Attempt) { a.Target.User = "other" })
	r.again(t, Options{Timeouts: ssh.Timeouts{Session: time.Minute}})
	r.want(t, 1, fleet.DialSettings)
	r.again(t, Options{})
	r.want(t, 1, "")
	r.again(t, Options{MaxAge: 1})
	r.want(t, 1, fleet.DialExpired)
	r.again(t, Options{})
	r.want(t, 1, "")
	r.keys.gone = true
	a, _ := r.attempt(1, "echo must not run")
	if end := run(t.Context(), r.Dialer, a); end.Reason != fleet.ReasonNoIdentity || a.Connection.Why != fleet.DialUserKey {
		t.Errorf("without the key: %+v, %+v", end, a.Connection)
	}
	r.again(t, Options{})
	r.want(t, 1, fleet.DialUserKey)
	r.keys.refused = true
	a, _ = r.attempt(1, "echo must not run")
	if end := run(t.Context(), r.Dialer, a); end.Reason != fleet.ReasonHostkeyRevoked || a.Connection.Why != fleet.DialHostKey {
		t.Errorf("with a revoked key: %+v, %+v", end, a.Connection)
	}
	r.again(t, Options{})
	r.want(t, 1, fleet.DialHostKey)
	r.refresh()
	r.want(t, 1, fleet.DialExpired)
	r.fleet.Disturb(1, simfleet.Disturbance(0))
	for a.Connection = nil; ; { // until the holder has seen the end
		b, _ := r.attempt(1, "echo ran")
		if end := run(t.Context(), r.Dialer, b); end.Outcome != fleet.OutcomeOK {
			t.Fatalf("%+v", end)
		}
		if b.Connection.Why == fleet.DialLost {
			break
		}
	}
	for _, e := range r.fleet.Log() {
		if strings.Contains(e.Command, "must not run") {
			t.Errorf("it ran: %+v", e)
		}
	}
}

// What the holder must not have is dialled by the run.
func TestLocal(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	with := func(e ssh.Endpoint) func(*ssh.Attempt) {
		return func(a *ssh.Attempt) { a.Target.Endpoint = &e; a.Agent = true }
	}
	r.want(t, 0, fleet.DialAgent, with(ssh.Endpoint{Settings: &ssh.Settings{Agent: ssh.AgentSpec{Socket: "/nowhere"}}}))
	r.want(t, 0, fleet.DialClient, with(ssh.Endpoint{Settings: &ssh.Settings{Program: ssh.ProgramSpec{Needed: "PKCS11Provider"}}}))
	a, out := r.attempt(0, "echo ran")
	if a.Anew = true; run(t.Context(), r.Dialer, a).Outcome != fleet.OutcomeOK || out.String() != "ran\n" || a.Connection != nil {
		t.Errorf("anew: output %q, %+v", out, a.Connection)
	}
	r.again(t, Options{Passwords: true})
	r.want(t, 0, fleet.DialPassword)
	r.again(t, Options{})
	r.lose(errors.New("gone"))
	r.want(t, 0, fleet.DialHolder)
	if s := r.status(); s.Idle+s.Used != 0 {
		t.Errorf("the holder has connections: %+v", s)
	}
}

// The holder dies at every stage of a command: what it may have run is unknown, and nothing else.
// faults.md: R17
func TestHolderDies(t *testing.T) {
	t.Run("between dial and start", func(t *testing.T) {
		r := newRig(t, simfleet.Options{Hosts: 1})
		r.want(t, 0, fleet.DialNew)
		a, _ := r.attempt(0, "echo must not run")
		c, err := r.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		r.end()
		for a.Execution.Failed() == fleet.OutcomeNeverStarted && r.whyLost() == nil {
			time.Sleep(time.Millisecond)
		}
		done := make(chan fleet.End, 1)
		c.Start(t.Context(), func(end fleet.End) { done <- end })
		if end := <-done; end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonHolderLost || !end.Reason.Transient() {
			t.Errorf("%+v", end)
		}
		r.ran(t, 1)
		r.want(t, 0, fleet.DialHolder)
	})
	for name, command := range map[string]string{"running": "echo on; sleep 3600", "never seen to run": "sleep 3600"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simfleet.Options{Hosts: 1})
			r.want(t, 0, fleet.DialNew)
			a, _ := r.attempt(0, command)
			done := make(chan fleet.End, 1)
			go func() { done <- run(t.Context(), r.Dialer, a) }()
			for a.Timeline.Phase() != fleet.PhaseRun {
				time.Sleep(time.Millisecond)
			}
			r.end()
			if end := <-done; end.Outcome != fleet.OutcomeUnknown || end.Reason != fleet.ReasonHolderLost {
				t.Errorf("%+v", end)
			}
		})
	}
	t.Run("while it dials", func(t *testing.T) {
		r := newRig(t, simfleet.Options{Hosts: 1, Fault: func(int) simfleet.Fault { return simfleet.FaultAuthStall }})
		a, _ := r.attempt(0, "echo must not run")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		local := make(chan struct{})
		a.Verbose = func(line string) {
			if strings.HasPrefix(line, "dialling without the holder") {
				close(local)
			}
		}
		done := make(chan fleet.End, 1)
		go func() { done <- run(ctx, r.Dialer, a) }()
		for a.Timeline.Phase() != fleet.PhaseAuth {
			time.Sleep(time.Millisecond)
		}
		r.end()
		<-local
		cancel()
		if end := <-done; end.Reason != fleet.ReasonInterrupted || a.Connection.Why != fleet.DialHolder {
			t.Errorf("%+v, %+v", end, a.Connection)
		}
		r.ran(t, 0)
	})
}

// A run that decides about an attempt while its intent is being written does not hand the command
// over afterwards: it has reported that it never started, or dials by itself.
func TestLateIntent(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	a, _ := r.attempt(0, "echo must not run")
	writes, written := make(chan struct{}), make(chan struct{})
	a.Intent = func() error {
		close(writes)
		<-written
		return nil
	}
	w := r.newRemote(t.Context(), a)
	r.Dialer.all.Go(func() { w.intend(1, "") })
	<-writes
	w.finished()
	if o := a.Execution.Failed(); o != fleet.OutcomeNeverStarted {
		t.Fatal(o)
	}
	close(written)
	if err := r.Dialer.Close(); err != nil {
		t.Error(err)
	}
	if a.Execution.Queued() || a.Execution.Left() {
		t.Error("the command was handed over after it was reported as never started")
	}
}

// A holder that has no room for the settings of one target does not drop the run for it.
func TestManySettings(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 2})
	a, _ := r.attempt(0, "sleep 3600")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan fleet.End, 1)
	go func() { done <- run(ctx, r.Dialer, a) }()
	for a.Timeline.Phase() != fleet.PhaseRun {
		time.Sleep(time.Millisecond)
	}
	r.Holder.mu.Lock()
	for i := len(r.Holder.settings); i < maxSettings; i++ {
		r.Holder.settings[fmt.Sprint(i)] = new(ssh.Settings)
	}
	r.Holder.mu.Unlock()
	other := &ssh.Endpoint{Settings: &ssh.Settings{AliveMax: 7}}
	r.want(t, 1, fleet.DialHolder, func(a *ssh.Attempt) { a.Target.Endpoint = other })
	r.want(t, 1, fleet.DialNew)
	if err := r.whyLost(); err != nil {
		t.Error(err)
	}
	cancel()
	if end := <-done; end.Reason != fleet.ReasonInterrupted {
		t.Errorf("%+v", end)
	}
}

// After a drain the holder dials nothing, and so starts nothing, in place of a held connection that
// turns out to be dead.
func TestDeadAndDrained(t *testing.T) {
	for _, when := range []string{"never", "before", "while it waits"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t, simfleet.Options{Hosts: 1})
			limit := 200 * time.Millisecond
			if when == "while it waits" {
				limit = 2 * time.Second // the drain must come before
			}
			r.again(t, Options{Timeouts: ssh.Timeouts{Session: limit}})
			r.want(t, 0, fleet.DialNew)
			r.fleet.Disturb(0, simfleet.DisturbHang)
			drain := make(chan struct{})
			a, _ := r.attempt(0, "echo ran")
			a.Drain = drain
			if when == "before" {
				close(drain)
			}
			done := make(chan fleet.End, 1)
			go func() { done <- run(t.Context(), r.Dialer, a) }()
			if when == "while it waits" {
				for a.Timeline.Phase() != fleet.PhaseSession {
					time.Sleep(time.Millisecond)
				}
				close(drain)
			}
			want, execs := fleet.OutcomeNeverStarted, 1
			if when == "never" {
				want, execs = fleet.OutcomeOK, 2
			}
			if end := <-done; end.Outcome != want {
				t.Errorf("%+v", end)
			}
			r.ran(t, execs)
		})
	}
}

// The intent has the address that the holder has dialled for a name.
func TestAddress(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	front, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			host := r.fleet.Host(0)
			to, err := net.Dial("tcp", net.JoinHostPort(host.Name, fmt.Sprint(host.Port)))
			if err != nil {
				t.Error(err)
				return
			}
			all.Go(func() { _, _ = io.Copy(to, c); _ = to.Close() })
			all.Go(func() { _, _ = io.Copy(c, to); _ = c.Close() })
		}
	})
	at := front.Addr().(*net.TCPAddr).AddrPort()
	a, _ := r.attempt(0, "echo ran")
	a.Target.Host.Name, a.Target.Host.Port, a.Target.Port = "localhost", at.Port(), at.Port()
	a.Target.Endpoint = &ssh.Endpoint{Settings: &ssh.Settings{Family: "tcp4"}}
	var had netip.AddrPort
	a.Intent = func() error {
		if a.Address != nil {
			had = *a.Address
		}
		return nil
	}
	if end := run(t.Context(), r.Dialer, a); end.Outcome != fleet.OutcomeOK || had != at {
		t.Errorf("%+v, the intent had %v, want %v", end, had, at)
	}
	_ = front.Close()
	r.refresh()
	all.Wait()
}

func (d *Dialer) whyLost() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

func (r *rig) ran(t *testing.T, n int) {
	t.Helper()
	if log := r.fleet.Log(); len(log) != n {
		t.Errorf("%d commands ran, want %d: %+v", len(log), n, log)
	}
}

// A run that ends takes its commands with it, and not the connections that are idle.
// faults.md: R17
func TestRunDies(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 2})
	r.want(t, 0, fleet.DialNew)
	r.want(t, 1, fleet.DialNew)
	a, _ := r.attempt(0, "sleep 3600")
	done := make(chan fleet.End, 1)
	go func() { done <- run(t.Context(), r.Dialer, a) }()
	for a.Timeline.Phase() != fleet.PhaseRun {
		time.Sleep(time.Millisecond)
	}
	_ = r.Dialer.Close()
	if end := <-done; end.Outcome != fleet.OutcomeUnknown || end.Reason != fleet.ReasonHolderLost {
		t.Errorf("%+v", end)
	}
	for s := r.status(); s.Used > 0 || s.Runs > 0; s = r.status() {
		time.Sleep(time.Millisecond)
	}
	r.again(t, Options{})
	r.want(t, 1, "")
	r.want(t, 0, fleet.DialLost)
}

// slow takes output only when it is let.
type slow struct {
	let chan struct{}
	n   int64
}

func (s *slow) Write(p []byte) (int, error) {
	<-s.let
	s.n += int64(len(p))
	return len(p), nil
}

// A run that does not take the output of one command gets that of others, and the holder does not
// store what it does not take.
func TestBackpressure(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 2})
	const size = 8 << 20
	a, _ := r.attempt(0, fmt.Sprintf("head -c %d /dev/zero", size))
	s := &slow{let: make(chan struct{})}
	a.Stdout = s
	done := make(chan fleet.End, 1)
	go func() { done <- run(t.Context(), r.Dialer, a) }()
	s.let <- struct{}{}
	r.want(t, 1, fleet.DialNew)
	select {
	case end := <-done:
		t.Errorf("it has ended: %+v", end)
	default:
	}
	close(s.let)
	if end := <-done; end.Outcome != fleet.OutcomeOK || s.n != size {
		t.Errorf("%+v, %d bytes", end, s.n)
	}
}

// A silent holder is given up.
// faults.md: R17
func TestSilentHolder(t *testing.T) {
	here, there := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, there) }()
	k := &keys{}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := New(ctx, here, Options{HostKeys: k, Identities: k, Local: &Dialer{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	_ = there.Close()
}

// Real servers hold too, also one that bears a single session.
func TestRealServersHold(t *testing.T) {
	for name, s := range map[string]*sshdtest.Server{
		"OpenSSH": sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxSessions 1")), "Dropbear": sshdtest.Dropbear(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDen(t)
			for i := range 3 {
				k := &one{s}
				p := d.dialer(t, Options{HostKeys: k, Identities: k})
				var out bytes.Buffer
				a := &ssh.Attempt{
					Progress: new(ssh.Progress), Stdout: &out, Input: strings.NewReader("input\n"),
					Target: ssh.Target{Target: fleet.Target{Host: s.Host, User: s.User, Port: s.Host.Port, Command: fmt.Sprintf("cat; echo %d", i)}},
				}
				end := run(t.Context(), p, a)
				if want := fmt.Sprintf("input\n%d\n", i); end.Outcome != fleet.OutcomeOK || out.String() != want || a.Connection.Held != (i > 0) {
					t.Errorf("run %d: %+v, output %q, %+v", i, end, out.String(), a.Connection)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A one is the keys of one server.
type one struct{ *sshdtest.Server }

func (k *one) Algorithms(ssh.Target) []string { return nil }

func (k *one) Check(_ ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if !bytes.Equal(key.Marshal(), k.HostKey.Marshal()) {
		return errors.New("another key")
	}
	return nil
}

func (k *one) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (k *one) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	return []xssh.Signer{k.Signer}, nil
}

// The time limit of a command ends the command, and not the connection.
func TestTimeoutKeeps(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	r.want(t, 0, fleet.DialNew)
	a, _ := r.attempt(0, "sleep 3600")
	a.Limit = 50 * time.Millisecond
	if end := run(t.Context(), r.Dialer, a); end.Reason != fleet.ReasonTimeout || !a.Connection.Held {
		t.Errorf("%+v, %+v", end, a.Connection)
	}
	r.want(t, 0, "")
}

// A hopping is the keys of a server behind a jump host, which may be distrusted.
type hopping struct {
	server, hop *sshdtest.Server
	refused     bool // the jump host
	checked     int  // its key
	logins      int  // at it
}

func (k *hopping) Algorithms(ssh.Target) []string { return nil }

func (k *hopping) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	s := k.server
	if t.Jump() == nil {
		s = k.hop
		k.checked++
	}
	if s == k.hop && k.refused || !bytes.Equal(key.Marshal(), s.HostKey.Marshal()) {
		return errors.New("another key")
	}
	return nil
}

func (k *hopping) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (k *hopping) Signers(_ context.Context, t ssh.Target) ([]xssh.Signer, error) {
	if t.Jump() == nil {
		k.logins++
		return []xssh.Signer{k.hop.Signer}, nil
	}
	return []xssh.Signer{k.server.Signer}, nil
}

// A host behind a jump host is held too, and each run checks the jump host's key as well.
func TestJumpHost(t *testing.T) {
	server, jump := sshdtest.OpenSSH(t), sshdtest.OpenSSH(t)
	d := newDen(t)
	for i, c := range []struct {
		refused, refresh bool
		maxAge           time.Duration
		why              fleet.DialReason
		ran              bool
		logins           int // at the jump host
	}{
		{why: fleet.DialNew, ran: true, logins: 1},
		{ran: true},
		{refused: true, why: fleet.DialHostKey},
		{ran: true},
		{refresh: true, why: fleet.DialExpired, ran: true, logins: 1},
		{ran: true},
		{maxAge: time.Hour, ran: true},
		{maxAge: 1, why: fleet.DialExpired, ran: true, logins: 1},
		{ran: true},
	} {
		if c.refresh {
			d.refresh()
		}
		k := &hopping{server: server, hop: jump, refused: c.refused}
		local := new(counted)
		p := d.dialerOn(t, Options{HostKeys: k, Identities: k, Local: local, MaxAge: c.maxAge})
		settings := new(ssh.Settings)
		hop := ssh.Target{Target: fleet.Target{Host: jump.Host, User: jump.User, Port: jump.Host.Port}, Endpoint: &ssh.Endpoint{Settings: settings}}
		via := ssh.Via(hop)
		via.User, via.Port, via.Settings = server.User, server.Host.Port, settings
		var out bytes.Buffer
		a := &ssh.Attempt{Progress: new(ssh.Progress), Stdout: &out, Target: via.Target(fleet.Target{Host: server.Host, Command: "echo ran"})}
		end := run(t.Context(), p, a)
		if (end.Outcome == fleet.OutcomeOK) != c.ran || (out.String() == "ran\n") != c.ran || a.Connection.Why != c.why {
			t.Errorf("run %d: %+v, output %q, %+v", i, end, out.String(), a.Connection)
		}
		if want := !c.ran; (local.n > 0) != want {
			t.Errorf("run %d: it was dialled here: %t, want %t", i, !want, want)
		}
		if k.logins != c.logins {
			t.Errorf("run %d: %d logins at the jump host, want %d", i, k.logins, c.logins)
		}
		if k.checked == 0 {
			t.Errorf("run %d: the jump host's key was not checked", i)
		}
		_ = p.Close()
	}
}

// A counted dials nothing.
type counted struct {
	nowhere
	n int
}

// Dial implements ssh.Dialer.
func (c *counted) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c.n++
	return c.nowhere.Dial(ctx, a)
}
