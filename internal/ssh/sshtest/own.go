package sshtest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// ownServer starts an x/crypto server that accepts everybody, has config's host keys, and
// passes each accepted exec to serve, and its connection to each of after when its channel is
// closed.
func ownServer(t testing.TB, config *ssh.ServerConfig, serve func(ssh.Channel), after ...func(*ssh.ServerConn)) fleet.Target {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if config.PublicKeyCallback == nil {
		config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return new(ssh.Permissions), nil
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serveOne(nc, config, serve, after) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return nameless("127.0.0.1", l.Addr().(*net.TCPAddr).AddrPort().Port())
}

func serveOne(nc net.Conn, config *ssh.ServerConfig, serve func(ssh.Channel), after []func(*ssh.ServerConn)) {
	defer func() { _ = nc.Close() }()
	sc, channels, requests, err := ssh.NewServerConn(nc, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for opened := range channels {
		ch, requests, err := opened.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(r.Type == "exec", nil)
			if r.Type == "exec" {
				serve(ch)
				_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
				_ = ch.Close()
				for _, f := range after {
					f(sc)
				}
			}
		}
	}
	_ = sc.Wait()
}

// testWeakKey checks that a trusted host key of 1024 bits is refused.
// faults.md: K04
func testWeakKey(t *testing.T, newDialer Factory) {
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config := new(ssh.ServerConfig)
	config.AddHostKey(signer)
	target := ownServer(t, config, func(ssh.Channel) {})
	d := newDialer(t, Config{
		HostKeys:   &exact{trusted: []ssh.PublicKey{signer.PublicKey()}},
		Identities: keys{newKey(t)},
		Timeouts:   patient(),
	})
	run(t.Context(), t, d, target).want(t,
		fleet.OutcomeNeverStarted, fleet.ReasonHostkeyWeak, fleet.PhaseHostkey, 0)
}

// A turncoat is a host key that changes into another one.
type turncoat struct {
	before, after ssh.Signer
	turned        atomic.Bool
	shown         chan struct{} // closed when after has signed
	once          sync.Once
}

func newTurncoat(t testing.TB) *turncoat {
	return &turncoat{before: newKey(t), after: newKey(t), shown: make(chan struct{})}
}

func (c *turncoat) now() ssh.Signer {
	if c.turned.Load() {
		return c.after
	}
	return c.before
}

func (c *turncoat) PublicKey() ssh.PublicKey { return c.now().PublicKey() }

func (c *turncoat) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	signer := c.now()
	if signer == c.after {
		defer c.once.Do(func() { close(c.shown) })
	}
	return signer.Sign(rand, data)
}

// testKeyChangesAtRekey has a server rekey constantly (faults.md K11), and present another host
// key in one of the exchanges (K12).
// faults.md: K11 K12
func testKeyChangesAtRekey(t *testing.T, newDialer Factory) {
	output := bytes.Repeat([]byte("0123456789abcdef"), 256<<10) // larger than the window: reads and writes alternate
	for name, turns := range map[string]bool{"honest": false, "turncoat": true} {
		t.Run(name, func(t *testing.T) {
			key := newTurncoat(t)
			config := &ssh.ServerConfig{Config: ssh.Config{RekeyThreshold: 64 << 10}}
			config.AddHostKey(key)
			target := ownServer(t, config, func(ch ssh.Channel) {
				key.turned.Store(turns)
				_, _ = ch.Write(output)
			})
			d := newDialer(t, Config{
				HostKeys:   &exact{trusted: []ssh.PublicKey{key.before.PublicKey(), key.after.PublicKey()}},
				Identities: keys{newKey(t)},
				Timeouts:   patient(),
			})
			r := run(t.Context(), t, d, target)
			if turns {
				r.want(t, fleet.OutcomeUnknown, fleet.ReasonHostkeyChanged, fleet.PhaseRun, 0)
				return
			}
			r.ok(t)
			if !bytes.Equal(r.stdout, output) {
				t.Errorf("%d bytes came, and not the %d that were sent", len(r.stdout), len(output))
			}
		})
	}
}

// testRekeyStorm has keys exchanged for every few bytes: each exchange costs us a signature to
// verify and two scalar multiplications. If the server does it, it is given up; if we are told to,
// all output arrives.
// faults.md: K10 K11
func testRekeyStorm(t *testing.T, newDialer Factory) {
	key := newKey(t)
	d := newDialer(t, Config{
		HostKeys: &exact{trusted: []ssh.PublicKey{key.PublicKey()}}, Identities: keys{newKey(t)}, Timeouts: patient(),
	})
	fast := []string{ssh.KeyExchangeCurve25519}
	config := &ssh.ServerConfig{Config: ssh.Config{RekeyThreshold: 256, KeyExchanges: fast}}
	config.AddHostKey(key)
	r := run(t.Context(), t, d, ownServer(t, config, func(ch ssh.Channel) {
		few := make([]byte, 300)
		for range 20_000 {
			if _, err := ch.Write(few); err != nil {
				return
			}
			pause() // the library begins an exchange on another goroutine
		}
	}))
	r.want(t, fleet.OutcomeUnknown, fleet.ReasonProtocolAbuse, fleet.PhaseRun, 0)
	if r.Err == nil || !strings.Contains(r.Err.Error(), "keys over and over") {
		t.Errorf("the cause is %q", r.Err)
	}

	config = &ssh.ServerConfig{Config: ssh.Config{KeyExchanges: fast}}
	config.AddHostKey(key)
	const parts = 160
	part := make([]byte, 4<<10)
	target := ownServer(t, config, func(ch ssh.Channel) {
		for range parts {
			_, _ = ch.Write(part)
			_, _ = ch.SendRequest("wait for an answer", true, nil)
		}
	})
	r = runAt(t.Context(), t, d, rekeying(target, uint64(len(part))))
	r.ok(t)
	if len(r.stdout) != parts*len(part) {
		t.Errorf("%d bytes came, want %d", len(r.stdout), parts*len(part))
	}
}

// testKeyChangesInAuth has a server present another trusted host key in a key exchange between
// the offer of a key and its answer.
// faults.md: K12
func testKeyChangesInAuth(t *testing.T, newDialer Factory) {
	key := newTurncoat(t)
	config := &ssh.ServerConfig{Config: ssh.Config{RekeyThreshold: 256}, MaxAuthTries: -1}
	config.AddHostKey(key)
	var asked atomic.Int32
	config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		key.turned.Store(true)
		if asked.Add(1) == 10 { // the new key exchange is due by then and runs concurrently
			select {
			case <-key.shown:
			case <-t.Context().Done():
			}
		}
		return nil, errors.New("not this one")
	}
	target := ownServer(t, config, func(ssh.Channel) {})
	hk := &exact{trusted: []ssh.PublicKey{key.before.PublicKey(), key.after.PublicKey()}}
	var offered keys
	for range 20 {
		offered = append(offered, newKey(t))
	}
	d := newDialer(t, Config{
		HostKeys:   hk,
		Identities: offered,
		Timeouts:   patient(),
	})
	run(t.Context(), t, d, target).want(t,
		fleet.OutcomeNeverStarted, fleet.ReasonHostkeyChanged, fleet.PhaseHostkey, 0)
	if hk.checked != 1 || hk.accepted != 0 {
		t.Errorf("checked %d, accepted %d; want 1, 0", hk.checked, hk.accepted)
	}
}
