package sshtest

import (
	"crypto/ed25519"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// A server is a test server and what is needed to log in.
type server struct {
	name    string
	host    fleet.Host
	hostKey xssh.PublicKey
	signer  xssh.Signer
}

func (s server) target(command string) fleet.Target {
	user := s.host.User
	if user == "" {
		user = "someone"
	}
	return fleet.Target{Host: s.host, User: user, Port: s.host.Port, Command: command}
}

// dialer returns a Dialer that trusts the server and has its key.
func (s server) dialer(t testing.TB, newDialer Factory, timeouts ssh.Timeouts) ssh.Dialer {
	return newDialer(t, Config{
		HostKeys:   &exact{trusted: []xssh.PublicKey{s.hostKey}},
		Identities: keys{s.signer},
		Timeouts:   timeouts,
	})
}

func simulated(f *simfleet.Fleet, i int) server {
	return server{"simfleet", f.Host(i), f.HostKey(i), f.ClientKey()}
}

func realOne(name string, s *sshdtest.Server) server {
	return server{name, s.Host, s.HostKey, s.Signer}
}

// startFleet starts a simulated fleet for the test.
func startFleet(t testing.TB, o simfleet.Options) *simfleet.Fleet {
	t.Helper()
	f, err := simfleet.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// everyKind starts one server of each kind.
func everyKind(t testing.TB) []server {
	t.Helper()
	return []server{
		simulated(startFleet(t, simfleet.Options{Hosts: 1}), 0),
		realOne("openssh", sshdtest.OpenSSH(t)),
		realOne("dropbear", sshdtest.Dropbear(t)),
	}
}

// newKey generates a key that no server knows.
func newKey(t testing.TB) xssh.Signer {
	t.Helper()
	_, signer := newPrivateKey(t)
	return signer
}

func newPrivateKey(t testing.TB) (ed25519.PrivateKey, xssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return private, signer
}
