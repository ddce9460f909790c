package client

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/sshdtest"
)

// A counter is a file to which a command appends a line, so that its runs can be
// counted.
type counter string

func newCounter(t testing.TB) counter { return counter(filepath.Join(t.TempDir(), "runs")) }

// command appends and says so.
func (c counter) command() string { return "echo ran >>" + string(c) + "; echo done" }

func (c counter) runs(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(string(c))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

// remember stores a server as if it had been met before.
func (r *rig) remember(t testing.TB, e hostcache.Entry) {
	t.Helper()
	if r.Memory == nil {
		r.Memory = newMemory(t)
	}
	e.Client = clientExpress
	r.Memory.Put(endpoint(r.target("").Target), e)
}

// The host cache names a method that the server has lost: one further connection,
// once.
func TestStaleKex(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t, sshdtest.WithKex("ecdh-sha2-nistp256"))
	r := rigFor(s)
	r.remember(t, hostcache.Entry{Identification: "SSH-2.0-OpenSSH_9.2", Kex: []string{"curve25519-sha256"}})
	for i, dials := range []int{2, 1, 1} {
		c := newCounter(t)
		r.run(t, c.command()).ok(t, "done\n")
		if n := r.dialled(); n != dials || c.runs(t) != 1 {
			t.Errorf("connection %d: dialled %d times, ran %d times; want %d, 1", i, n, c.runs(t), dials)
		}
		if known := r.remembered(t).Kex; !slices.Equal(known, []string{"ecdh-sha2-nistp256"}) {
			t.Errorf("connection %d: remembered %v", i, known)
		}
	}
}

// The accepted key is no longer accepted. What was sent early with it does not run,
// and the command runs once with the next key.
func TestStaleKey(t *testing.T) {
	t.Parallel()
	lost := newSigner(t, sshdtest.Ed25519)
	for name, c := range map[string]struct {
		server *sshdtest.Server
		early  bool
		intent int32
	}{
		"OpenSSH":  {sshdtest.OpenSSH(t), true, 2},
		"Dropbear": {sshdtest.Dropbear(t), false, 1}, // a rejected key with more behind it ends its connection
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(c.server.Host, c.server.HostKeys, c.server.Signer, lost)
			r.remember(t, hostcache.Entry{
				Kex: []string{"curve25519-sha256"}, Key: ssh.FingerprintSHA256(lost.PublicKey()), User: c.server.User,
			})
			var intents atomic.Int32
			r.intent = func() error { intents.Add(1); return nil }
			runs := newCounter(t)
			r.run(t, runs.command()).ok(t, "done\n")
			if n := r.dialled(); n != 1 || runs.runs(t) != 1 {
				t.Errorf("dialled %d times, ran %d times; want 1, 1", n, runs.runs(t))
			}
			if r.early() != c.early || intents.Load() != c.intent || r.sent("exec") != int(c.intent) {
				t.Errorf("early %t, intended %d times, sent %d times; want %t, %d",
					r.early(), intents.Load(), r.sent("exec"), c.early, c.intent)
			}
			if key := r.remembered(t).Key; key != ssh.FingerprintSHA256(c.server.Signer.PublicKey()) {
				t.Errorf("the key that is remembered is %q", key)
			}
		})
	}
}

// The only key is no longer accepted. What was sent early has not run, which the
// server's answer proves if it arrives before the connection is reset.
func TestOnlyKeyIsStale(t *testing.T) {
	t.Parallel()
	lost := newSigner(t, sshdtest.Ed25519)
	for name, s := range map[string]*sshdtest.Server{"OpenSSH": sshdtest.OpenSSH(t), "Dropbear": sshdtest.Dropbear(t)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(s.Host, s.HostKeys, lost)
			runs := newCounter(t)
			for i := range 10 {
				r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}, Key: ssh.FingerprintSHA256(lost.PublicKey())})
				e := r.run(t, runs.command())
				e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, fleet.PhaseAuth)
				if n := r.dialled(); n != 1 || !r.early() {
					t.Errorf("attempt %d: dialled %d times, early %t; want 1, true", i, n, r.early())
				}
			}
			if n := runs.runs(t); n != 0 {
				t.Errorf("the command ran %d times", n)
			}
		})
	}
}

// A server that numbers its first channel other than 0 gets the command on no
// channel, so that it cannot have run; the next attempt waits.
// faults.md: S22
func TestOtherChannelNumber(t *testing.T) {
	t.Parallel()
	var taken chan struct{}
	var tell atomic.Bool
	p := startPoser(t, "OpenSSH_9.9", func(p *poser) {
		p.wrap = func(nc net.Conn) net.Conn {
			return writeHook{nc, func() {
				if tell.CompareAndSwap(true, false) {
					close(taken)
				}
			}}
		}
		p.ready = func(sc *ssh.ServerConn) { // number 0 is this one's
			tell.Store(true)
			p.work.Go(func() { _, _, _ = sc.OpenChannel("nobody-takes-this@example.com", nil) })
		}
	})
	r := p.rig(newSigner(t, sshdtest.Ed25519))
	r.Memory = newMemory(t)
	d := r.newDialer(t)
	defer func() { _ = d.Close() }()
	for i, want := range []fleet.Outcome{fleet.OutcomeNeverStarted, fleet.OutcomeOK} {
		taken = make(chan struct{})
		a := attemptAt(r, "true")
		c, err := d.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		<-taken
		done := make(chan fleet.End, 1) // sent once by done
		c.Start(t.Context(), func(e fleet.End) { done <- e })
		if e := <-done; e.Outcome != want || int(p.execs.Load()) != i {
			t.Errorf("attempt %d ended %v(%s) in %v: %v; ran %d times", i, e.Outcome, e.Reason, e.Phase, e.Err, p.execs.Load())
		}
		if marks := r.remembered(t).Marks; !slices.Equal(marks, []string{dated(markLateExec, today())}) {
			t.Errorf("attempt %d: the marks are %q", i, marks)
		}
	}
}

// A writeHook calls a function before each write.
type writeHook struct {
	net.Conn
	tell func()
}

func (c writeHook) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.tell()
	return n, err
}

// A server that claims to be OpenSSH and drops what arrives on a channel before it
// has opened it. The outcome is unknown, and the next attempt waits for the
// channel.
// faults.md: S22
func TestEarlyCommandIsIgnored(t *testing.T) {
	t.Parallel()
	// Whether golang.org/x/crypto/ssh drops it depends on which of its goroutines comes first.
	p := startPoser(t, "OpenSSH_9.9", func(p *poser) { p.deaf.Store(true) })
	r := p.rig(newSigner(t, sshdtest.Ed25519))
	r.Timeouts.Session = 2 * time.Second
	r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
	r.Fallback = forbidden{t}
	e := r.run(t, "true")
	e.want(t, fleet.OutcomeUnknown, fleet.ReasonExecTimeout, fleet.PhaseExec)
	if n := r.dialled(); n != 1 || p.execs.Load() != 0 || !r.early() {
		t.Errorf("dialled %d times, ran %d times, early %t; want 1, 0, true", n, p.execs.Load(), r.early())
	}
	r.Timeouts.Session = time.Minute
	p.deaf.Store(false)
	r.run(t, "true").ok(t, "hello 1\n")
	if n := r.dialled(); n != 1 || r.early() {
		t.Errorf("the next time: dialled %d times, early %t; want 1, false", n, r.early())
	}
}

// faults.md: A03
func TestTooManyKeys(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t, sshdtest.WithMaxAuthTries(2))
	wrong := []ssh.Signer{newSigner(t, sshdtest.Ed25519), newSigner(t, sshdtest.Ed25519)}
	for name, known := range map[string]bool{"first contact": false, "remembered": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(s.Host, s.HostKeys, wrong[0], wrong[1], s.Signer)
			if known {
				r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
			}
			runs := newCounter(t)
			r.run(t, runs.command()).want(t, fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, fleet.PhaseAuth)
			if n := r.dialled(); n != 1 || runs.runs(t) != 0 {
				t.Errorf("dialled %d times, ran %d times; want 1, 0", n, runs.runs(t))
			}
			if n := r.sent("USERAUTH_REQUEST"); n != 2 {
				t.Errorf("%d keys were offered, want the 2 that the server takes", n)
			}
		})
	}
}

// A banner and a forced command change nothing but the output.
// faults.md: S05
func TestBannerAndForcedCommand(t *testing.T) {
	t.Parallel()
	banner := strings.Repeat("authorised use only\n", 100)
	for _, kind := range sshdtest.Kinds() {
		if !kind.Has(sshdtest.Banner) || !kind.Has(sshdtest.ForceCommand) {
			continue
		}
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			s := kind.Start(t, sshdtest.WithBanner(banner), sshdtest.WithForceCommand("echo forced; exit 4"))
			for _, p := range []Pipeline{Full, Auth, Off} {
				r := rigFor(s)
				r.Pipeline, r.Memory = p, newMemory(t)
				for range 2 {
					e := r.run(t, "echo mine")
					e.want(t, fleet.OutcomeFailed, fleet.ReasonNone, fleet.PhaseDrain)
					if e.Status != 4 || string(e.stdout) != "forced\n" {
						t.Errorf("%v: status %d, output %q", p, e.Status, e.stdout)
					}
				}
			}
		})
	}
}

// A middlebox drops what arrives before the server's version line.
func TestDroppedBeforeGreeting(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t)
	var connections atomic.Int32
	middle := startRelay(t, fleet.Target{Host: s.Host}.Address(), func(client, server *net.TCPConn) {
		greeting := make([]byte, 256)
		n, _ := server.Read(greeting)
		if connections.Add(1) > 1 { // nothing is early
			_ = client.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		}
		_, _ = client.Read(make([]byte, 64<<10))
		_ = client.SetReadDeadline(time.Time{})
		_, _ = client.Write(greeting[:n])
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(server, client); _ = server.CloseWrite() })
		both.Go(func() { _, _ = io.Copy(client, server); _ = client.CloseWrite() })
		both.Wait()
		_, _ = client.Close(), server.Close()
	})
	r := rigFor(s)
	r.host.Port = middle.port()
	r.Timeouts.Kex = 4 * time.Second // of the first dial, all of it is waited for
	r.Memory = newMemory(t)
	for i, dials := range []int{2, 1} {
		r.run(t, "echo hello").ok(t, "hello\n")
		if n := r.dialled(); n != dials {
			t.Errorf("connection %d: dialled %d times, want %d", i, n, dials)
		}
		if marks := r.remembered(t).Marks; !slices.Equal(marks, []string{dated(markStepByStep, today())}) {
			t.Errorf("connection %d: the marks are %q", i, marks)
		}
	}
	if first := r.messages[0]; first.Out || first.Name != "VERSION" {
		t.Errorf("the first message was %+v, want the server's version line", first)
	}
}
