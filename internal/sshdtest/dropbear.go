package sshdtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/internal/needs"
)

var dropbear = Kind{
	Name:     "Dropbear",
	HostKeys: []KeyType{Ed25519, ECDSA, RSA},
	UserKeys: []KeyType{Ed25519, ECDSA, RSA},
	Kex:      []string{ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256},
	Ciphers:  []string{ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES256CTR},
	MACs:     []string{ssh.HMACSHA256},
	settings: []Setting{MaxAuthTries, Banner, ForceCommand, Args, Subreaper},
}

// Dropbear starts a Dropbear server that accepts only public keys.
//
// Dropbear 2022.83 looks for authorized_keys only in the home directory from
// getpwnam(3), so it sees a password file of its own. A wrong signature counts
// as an authentication failure, but a query for a key does not. A client that
// prefers an RSA host key to those that the server has loses the connection (a
// failed assertion).
func Dropbear(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := dropbear.apply(t, opts)
	bin := needs.Program(t, "/usr/sbin/dropbear")
	s := newServer(t, o)
	// Foreground, log to standard error, no passwords, and pass the server's
	// environment to its commands, so that they can be found.
	args := append([]string{bin, "-F", "-E", "-s", "-e"}, o.args...)
	if o.maxAuthTries > 0 {
		args = append(args, "-T", strconv.Itoa(o.maxAuthTries))
	}
	if o.banner != "" {
		args = append(args, "-b", s.bannerFile(t, o))
	}
	if o.forceCommand != "" {
		args = append(args, "-c", o.forceCommand)
	}
	for _, kind := range o.hostKeys {
		path := filepath.Join(s.dir, "host_"+string(kind))
		s.HostKeys = append(s.HostKeys, dropbearKey(t, kind, path))
		args = append(args, "-r", path)
	}
	port, proc := startOnFreePort(t, s.dir, func(port uint16) launch {
		address := fmt.Sprintf("%s:%d", loopback, port)
		return launch{
			argv: o.underSubreaper(t, s.withHome(t, "/bin/sh", append(args, "-p", address))),
			up:   "Not backgrounding",
			busy: fmt.Sprintf("Failed listening on '%d': Error listening: Address already in use", port),
		}
	})
	s.listensOn(t, port, proc)
	return s
}

// dropbearKey creates a host key in Dropbear's format.
func dropbearKey(t testing.TB, kind KeyType, path string) ssh.PublicKey {
	t.Helper()
	args := []string{"-t", string(kind), "-f", path}
	if kind == RSA {
		args = append(args, "-s", strconv.Itoa(rsaBits))
	}
	bin := needs.Program(t, "/usr/bin/dropbearkey")
	if out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput(); err != nil {
		t.Fatalf("making Dropbear's %s host key: %v\n%s", kind, err, out)
	}
	out, err := exec.CommandContext(t.Context(), bin, "-y", "-f", path).Output()
	if err != nil {
		t.Fatalf("reading Dropbear's %s host key: %v", kind, err)
	}
	// The output is a line of text, the key, and its fingerprint.
	key, _, _, _, err := ssh.ParseAuthorizedKey(out)
	if err != nil {
		t.Fatalf("parsing what dropbearkey -y says: %v\n%s", err, out)
	}
	return key
}
