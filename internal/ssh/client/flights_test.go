package client

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/wire"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// flights counts the round trips of a connection: that of TCP, and each burst of
// writes that follows a read.
type flights struct {
	mu      sync.Mutex
	count   int
	writing bool
	atExit  int // when the exit status came
}

func (f *flights) wrote() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.writing {
		f.count++
		f.writing = true
	}
}

func (f *flights) read() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writing = false
}

func (f *flights) trace(m wire.Message) {
	if !m.Out && m.Request == "exit-status" {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.atExit = f.count
	}
}

// counting is a Network whose connections are counted.
type counting struct {
	tcp.Dialer
	flights *flights
}

func (n counting) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	c, err := n.Dialer.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	n.flights.mu.Lock()
	n.flights.count++ // SYN
	n.flights.mu.Unlock()
	return countedConn{c, n.flights}, nil
}

type countedConn struct {
	net.Conn
	flights *flights
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.flights.read()
	}
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	c.flights.wrote()
	return c.Conn.Write(p)
}

// trusting accepts one host key.
type trusting struct{ key xssh.PublicKey }

func (h trusting) Algorithms(ssh.Target) []string { return nil }

func (h trusting) Check(_ ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if !bytes.Equal(key.Marshal(), h.key.Marshal()) {
		return &fleet.Error{Reason: fleet.ReasonHostkeyChanged}
	}
	return nil
}

func (h trusting) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (h trusting) AllowPassword(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

type oneKey struct{ signer xssh.Signer }

func (k oneKey) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	return []xssh.Signer{k.signer}, nil
}

// once runs a command and returns its end, its output and its flights.
func once(t *testing.T, s *sshdtest.Server, o Options, command string) (fleet.End, string, int) {
	t.Helper()
	var f flights
	o.HostKeys, o.Identities = trusting{s.HostKey}, oneKey{s.Signer}
	o.Network = counting{tcp.Dialer{Timeouts: ssh.Timeouts{}.WithDefaults()}, &f}
	o.Trace = f.trace
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	var out bytes.Buffer
	a := &ssh.Attempt{
		Progress: new(ssh.Progress),
		Target:   ssh.Target{Target: fleet.Target{Host: s.Host, User: s.Host.User, Port: s.Host.Port, Command: command}},
		Stdout:   &out, Stderr: &out,
	}
	c, err := d.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(e fleet.End) { done <- e })
	return <-done, out.String(), f.atExit
}

func TestRoundTrips(t *testing.T) {
	const unlimited = 99
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 1, Server: simfleet.ServerWire})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	simulated := &sshdtest.Server{Host: f.Host(0), HostKey: f.HostKey(0), Signer: f.ClientKey()}
	simulated.Host.User = "ada"
	for name, s := range map[string]*sshdtest.Server{
		"simfleet": simulated,
		"OpenSSH":  sshdtest.OpenSSH(t),
		"Dropbear": sshdtest.Dropbear(t),
	} {
		for _, c := range []struct {
			pipeline            Pipeline
			first, rememberedTo int // at most
		}{
			{Full, 5, 3},
			{Auth, unlimited, 5},
			{Off, unlimited, 8},
		} {
			t.Run(name+"/"+c.pipeline.String(), func(t *testing.T) {
				memory, err := hostcache.Open(t.TempDir()+"/state", hostcache.Options{})
				if err != nil {
					t.Fatal(err)
				}
				for i, most := range []int{c.first, c.rememberedTo, c.rememberedTo} {
					end, out, took := once(t, s, Options{Pipeline: c.pipeline, Memory: memory}, "echo ok; exit 3")
					if end.Outcome != fleet.OutcomeFailed || end.Status != 3 || out != "ok\n" {
						t.Errorf("connection %d: %+v, output %q", i, end, out)
					}
					if took > most || took < 3 {
						t.Errorf("connection %d took %d round trips, want at most %d", i, took, most)
					}
					t.Logf("connection %d: %d round trips", i, took)
				}
			})
		}
	}
}
