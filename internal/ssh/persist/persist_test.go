package persist

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/sshtest"
	"shoal/simfleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A den is a holder with a socket.
type den struct {
	*Holder
	socket string
	listen net.Listener
	all    sync.WaitGroup
	cancel context.CancelFunc
}

func newDen(t testing.TB) *den {
	t.Helper()
	d := &den{Holder: NewHolder(HolderOptions{Version: "test"}), socket: filepath.Join(t.TempDir(), "s")}
	var err error
	if d.listen, err = net.Listen("unix", d.socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.all.Go(func() {
		for {
			c, err := d.listen.Accept()
			if err != nil {
				return
			}
			d.all.Go(func() { d.Serve(ctx, c) })
		}
	})
	t.Cleanup(func() {
		d.end()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// end drops all runs, as the end of the process does.
func (d *den) end() {
	_ = d.listen.Close()
	d.cancel()
	d.all.Wait()
}

// dialer returns the run's side, which falls back to a client of its own.
func (d *den) dialer(t testing.TB, o Options) *Dialer {
	t.Helper()
	local, err := client.New(client.Options{HostKeys: o.HostKeys, Identities: o.Identities, Timeouts: o.Timeouts})
	if err != nil {
		t.Fatal(err)
	}
	o.Local = local
	return d.dialerOn(t, o)
}

func (d *den) dialerOn(t testing.TB, o Options) *Dialer {
	t.Helper()
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	if o.Idle == 0 {
		o.Idle = time.Hour
	}
	p, err := New(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Close()
		if c, ok := o.Local.(*client.Dialer); ok {
			_ = c.Close()
		}
	})
	return p
}

// Whatever the suite asks of a client holds through a holder. The suite's cases expect to be dialled, and that
// nothing stays of a connection that is not to be kept: held ones have tests of their own.
func TestConformance(t *testing.T) {
	traits := sshtest.Traits{Lacks: map[string]string{
		"passwords/methods/keys_only": "the holder does not know that there is a password",
	}}
	traits.Run(t, func(t testing.TB, c sshtest.Config) ssh.Dialer {
		local, err := client.New(client.Options{
			HostKeys: c.HostKeys, Identities: c.Identities, Passwords: c.Passwords, Agents: c.Agents, Timeouts: c.Timeouts,
		})
		if err != nil {
			t.Fatal(err)
		}
		d := newDen(t)
		d.unheld = true
		return d.dialerOn(t, Options{
			HostKeys: c.HostKeys, Identities: c.Identities, Passwords: c.Passwords != nil, Local: local, Timeouts: c.Timeouts,
		})
	})
}

// keys are the keys of a fleet, of which some may be distrusted.
type keys struct {
	fleet *simfleet.Fleet

	mu      sync.Mutex
	refused bool
	gone    bool // the user key
	asked   int
}

func (k *keys) Algorithms(ssh.Target) []string { return nil }

func (k *keys) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	switch {
	case k.refused:
		return &fleet.Error{Reason: fleet.ReasonHostkeyRevoked, Err: errors.New("revoked")}
	case bytes.Equal(key.Marshal(), k.fleet.HostKey(t.Index).Marshal()):
		return nil
	}
	return errors.New("another key")
}

func (k *keys) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (k *keys) AllowPassword(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (k *keys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone {
		return nil, nil
	}
	return []xssh.Signer{k.fleet.ClientKey()}, nil
}
