package hostkeys

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/sshdtest"
)

// Verdicts agree with those of ssh(1) about a real server with StrictHostKeyChecking=yes.
// faults.md: K13
func TestVerdictsAgreeWithSSH(t *testing.T) {
	t.Parallel()
	server := sshdtest.OpenSSH(t)
	s := newSuite(t, 1)
	right, wrong := server.HostKey, s.keys[0]
	otherType, err := ssh.NewPublicKey(newECDSA(t))
	if err != nil {
		t.Fatal(err)
	}
	line := func(names string, key ssh.PublicKey) string {
		return names + " " + string(ssh.MarshalAuthorizedKey(key))
	}
	to := fleet.Target{Host: server.Host}
	n, err := namesOf(to)
	if err != nil {
		t.Fatal(err)
	}
	name, plain := n.look, n.fallback
	for about, known := range map[string]string{
		"nothing":                        "",
		"the key":                        line(name, right),
		"another key":                    line(name, wrong),
		"another key and the key":        line(name, wrong) + line(name, right),
		"a key of another type":          line(name, otherType),
		"another type and the key":       line(name, otherType) + line(name, right),
		"the key under the plain name":   line(plain, right),
		"another under the plain name":   line(plain, wrong),
		"the plain name does not help":   line(name, wrong) + line(plain, right),
		"hashed":                         line(knownhosts.HashHostname(name), right),
		"hashed, another key":            line(knownhosts.HashHostname(name), wrong),
		"a pattern":                      line("[127.*]:*", right),
		"a pattern without the port":     line("127.*", right),
		"a star":                         line("*", right),
		"a star with another key":        line("*", wrong),
		"negated":                        line("*,!"+name, right),
		"negated for the plain name too": line("*,!"+name+",!"+plain, right),
		"revoked":                        line("@revoked *", right),
		"revoked and known":              line(name, right) + line("@revoked *", right),
		"known and revoked":              line("@revoked "+name, right) + line(name, right),
		"an authority":                   line("@cert-authority *", right),
		"another key revoked":            line("@revoked *", wrong) + line(name, right),
		"revoked by a certificate":       line(name, right) + line("@revoked *", certOf(t, right)),
		"another's certificate revoked":  line(name, right) + line("@revoked *", certOf(t, wrong)),
		"rubbish before":                 "rubbish\n@x y\n" + line(name, right),
	} {
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(known), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := Open(Options{Files: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		want := reasonOfSSH(t, server, path)
		if got := reasonOf(store.Check(to, nil, right)); got != want {
			t.Errorf("%s: %q, ssh says %q", about, got, want)
		}
	}
}

// certOf returns a host certificate for a key.
func certOf(t *testing.T, key ssh.PublicKey) ssh.PublicKey {
	t.Helper()
	cert := &ssh.Certificate{Key: key, CertType: ssh.HostCert, ValidPrincipals: []string{"h"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, newSigner(t, 7)); err != nil {
		t.Fatal(err)
	}
	return cert
}

// reasonOfSSH runs ssh(1); more options precede the usual ones and override them.
func reasonOfSSH(t *testing.T, s *sshdtest.Server, known string, more ...string) fleet.Reason {
	t.Helper()
	args := append([]string{"-F", "none"}, more...)
	// The default key exchange of 9.2 takes eight times as long.
	args = append(args, "-o", "BatchMode=yes", "-o", "KexAlgorithms=curve25519-sha256",
		"-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile="+known,
		"-o", "HostKeyAlgorithms=ssh-ed25519", "-o", "UpdateHostKeys=no", "-o", "IdentitiesOnly=yes", "-i", s.KeyFile,
		"-p", strconv.Itoa(int(s.Host.Port)), s.User+"@"+s.Host.Name, "true")
	out, err := exec.CommandContext(t.Context(), needs.Program(t, "ssh"), args...).CombinedOutput()
	if err == nil {
		return fleet.ReasonNone
	}
	for text, reason := range map[string]fleet.Reason{
		"REVOKED HOST KEY DETECTED":              fleet.ReasonHostkeyRevoked,
		"revoked by file":                        fleet.ReasonHostkeyRevoked,
		"in revoked keys file":                   fleet.ReasonHostkeyFailed,
		"REMOTE HOST IDENTIFICATION HAS CHANGED": fleet.ReasonHostkeyChanged,
		"host key is known for":                  fleet.ReasonHostkeyUnknown,
	} {
		if strings.Contains(string(out), text) {
			return reason
		}
	}
	t.Fatalf("ssh: %v\n%s", err, out)
	return ""
}

// K13: a server with three keys presents the known one.
// faults.md: K13
func TestAServerShowsTheKeyThatIsKnown(t *testing.T) {
	t.Parallel()
	server := sshdtest.OpenSSH(t, sshdtest.WithHostKeys(sshdtest.Ed25519, sshdtest.ECDSA, sshdtest.RSA))
	to := fleet.Target{Host: server.Host}
	n, err := namesOf(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range server.HostKeys {
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(n.look+" "+string(ssh.MarshalAuthorizedKey(key))), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := Open(Options{Files: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		if shown := dial(t, server, store); !sameKey(shown, key) {
			t.Errorf("%s is known, the server shows %s", key.Type(), shown.Type())
		}
	}
}

// A certCase is a certificate and the client's configuration.
type certCase struct {
	known   string
	change  func(*ssh.Certificate) // applied to a valid certificate; nil: unchanged
	ca      ssh.Signer             // nil means the known one
	revoked string                 // the content of RevokedHostKeys
	since   bool                   // we say hostkey_unknown where 9.2 accepts, or the reverse
	alias   string
}

// K14: verdicts on certificates agree with those of ssh(1), except for two changes after the
// version tested here, 9.2: since 10.3 a certificate without principals matches no host instead
// of every host, and wildcards in principals match.
// faults.md: K14
func TestCertificateVerdictsAgreeWithSSH(t *testing.T) {
	t.Parallel()
	certFile := filepath.Join(t.TempDir(), "cert.pub")
	server := sshdtest.OpenSSH(t, sshdtest.WithConfig("HostCertificate "+certFile))
	ca, other := newSigner(t, 1), newSigner(t, 2)
	key := server.HostKey
	to := fleet.Target{Host: server.Host}
	n, err := namesOf(to)
	if err != nil {
		t.Fatal(err)
	}
	line := func(names string, key ssh.PublicKey) string {
		return names + " " + string(ssh.MarshalAuthorizedKey(key))
	}
	authority := line("@cert-authority "+n.look, ca.PublicKey())
	wrongKey := line(n.look, other.PublicKey())
	ago := func(d time.Duration) uint64 { return uint64(time.Now().Add(-d).Unix()) }
	sha1CA := newRSASigner(t, ssh.KeyAlgoRSA)
	seen := make(map[fleet.Reason]int)
	for about, c := range map[string]certCase{
		"good":                       {known: authority},
		"good, another key known":    {known: wrongKey + authority},
		"nothing known":              {},
		"the plain key known":        {known: line(n.look, key)},
		"another key known":          {known: wrongKey},
		"for the name, no port":      {known: line("@cert-authority "+n.fallback, ca.PublicKey())},
		"plain for the name":         {known: line(n.fallback, key)},
		"wildcard":                   {known: line("@cert-authority [127.*]:*", ca.PublicKey())},
		"wildcard, negated":          {known: line("@cert-authority *,!"+n.look+",!"+n.fallback, ca.PublicKey())},
		"hashed":                     {known: line("@cert-authority "+knownhosts.HashHostname(n.look), ca.PublicKey())},
		"another authority":          {known: line("@cert-authority *", other.PublicKey())},
		"its own authority":          {known: line("@cert-authority *", key)},
		"authority as a plain key":   {known: line(n.look, ca.PublicKey())},
		"expired":                    {known: authority, change: func(c *ssh.Certificate) { c.ValidBefore = ago(time.Hour) }},
		"expired, plain key known":   {known: authority + line(n.look, key), change: func(c *ssh.Certificate) { c.ValidBefore = ago(time.Hour) }},
		"expired, another known":     {known: authority + wrongKey, change: func(c *ssh.Certificate) { c.ValidBefore = ago(time.Hour) }},
		"not yet valid":              {known: authority, change: func(c *ssh.Certificate) { c.ValidAfter = ago(-time.Hour) }},
		"another principal":          {known: authority, change: func(c *ssh.Certificate) { c.ValidPrincipals = []string{"g", "[127.0.0.1]"} }},
		"wildcard principal":         {known: authority, since: true, change: func(c *ssh.Certificate) { c.ValidPrincipals = []string{"127.*.?"} }},
		"no principals":              {known: authority, since: true, change: func(c *ssh.Certificate) { c.ValidPrincipals = nil }},
		"wildcard, others":           {known: authority, change: func(c *ssh.Certificate) { c.ValidPrincipals = []string{"128.*"} }},
		"principal with port":        {known: authority, change: func(c *ssh.Certificate) { c.ValidPrincipals = []string{n.look} }},
		"critical option":            {known: authority, change: func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x": ""} }},
		"extension":                  {known: authority, change: func(c *ssh.Certificate) { c.Extensions = map[string]string{"x": ""} }},
		"signed with SHA-1":          {known: line("@cert-authority *", sha1CA.PublicKey()), ca: sha1CA},
		"revoked authority":          {known: authority + line("@revoked *", ca.PublicKey())},
		"revoked key":                {known: authority + line("@revoked *", key)},
		"revoked authority, known":   {known: line(n.look, key) + line("@revoked *", ca.PublicKey())},
		"revoked certificate":        {known: authority + line("@revoked *", certOf(t, key))},
		"another revoked":            {known: authority + line("@revoked *", other.PublicKey())},
		"listed key":                 {known: authority, revoked: line("", key)},
		"listed authority":           {known: authority, revoked: "# comment\n\n" + line("", ca.PublicKey())},
		"listed, the plain key":      {known: line(n.look, key), revoked: line("", key)},
		"another listed":             {known: authority, revoked: line("", other.PublicKey())},
		"alias":                      {known: line("@cert-authority shared", ca.PublicKey()), alias: "Shared", change: func(c *ssh.Certificate) { c.ValidPrincipals = []string{"shared"} }},
		"alias, for the host itself": {known: line("@cert-authority shared", ca.PublicKey()), alias: "shared"},
		"alias, plain":               {known: line("shared", key), alias: "SHARED"},
		"alias, other port":          {known: authority, alias: "shared"},
	} {
		if c.ca == nil {
			c.ca = ca
		}
		cert := &ssh.Certificate{
			Key: key, Serial: 1, CertType: ssh.HostCert, ValidPrincipals: []string{"x", server.Host.Name},
			ValidAfter: ago(2 * time.Hour), ValidBefore: ago(-2 * time.Hour),
		}
		if c.change != nil {
			c.change(cert)
		}
		if err := cert.SignCert(rand.Reader, c.ca); err != nil {
			t.Fatal(err)
		}
		// sshd executes itself for each connection and rereads this file.
		replace(t, certFile, ssh.MarshalAuthorizedKey(cert))
		known := filepath.Join(t.TempDir(), "known_hosts")
		replace(t, known, []byte(c.known))
		o := Options{Files: []string{known}}
		more := []string{"-o", "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com,ssh-ed25519"}
		if c.revoked != "" {
			path := filepath.Join(t.TempDir(), "revoked")
			replace(t, path, []byte(strings.ReplaceAll(c.revoked, " ssh-", "ssh-")))
			o.Revoked = []string{path}
			more = append(more, "-o", "RevokedHostKeys="+path)
		}
		to.Route = &fleet.Route{HostKeyAlias: c.alias}
		if c.alias != "" {
			more = append(more, "-o", "HostKeyAlias="+c.alias)
		}
		store, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		want := reasonOfSSH(t, server, known, more...)
		if c.since && want == fleet.ReasonNone {
			want = fleet.ReasonHostkeyUnknown
		} else if c.since {
			want = fleet.ReasonNone
		}
		if got := reasonOf(store.Check(to, nil, cert)); got != want {
			t.Errorf("%s: %q, want %q", about, got, want)
		}
		seen[want]++
	}
	if len(seen) != 4 {
		t.Errorf("the suite is hollow: %v", seen)
	}
}

// A server presents its certificate if its authority is known, and its plain key if that is
// known.
func TestAServerShowsTheCertificateThatIsKnown(t *testing.T) {
	t.Parallel()
	certFile := filepath.Join(t.TempDir(), "cert.pub")
	server := sshdtest.OpenSSH(t, sshdtest.WithConfig("HostCertificate "+certFile))
	ca := newSigner(t, 1)
	cert := &ssh.Certificate{
		Key: server.HostKey, CertType: ssh.HostCert, ValidPrincipals: []string{server.Host.Name}, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	replace(t, certFile, ssh.MarshalAuthorizedKey(cert))
	for known, want := range map[string]ssh.PublicKey{
		"@cert-authority * " + string(ssh.MarshalAuthorizedKey(ca.PublicKey())): cert,
		"* " + string(ssh.MarshalAuthorizedKey(server.HostKey)):                 server.HostKey,
	} {
		path := filepath.Join(t.TempDir(), "known_hosts")
		replace(t, path, []byte(known))
		store, err := Open(Options{Files: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		if shown := dial(t, server, store); !sameKey(shown, want) {
			t.Errorf("%q is known, the server shows %s", known, shown.Type())
		}
	}
}

// dial connects as a dialer does and returns the key that the server presented.
func dial(t *testing.T, server *sshdtest.Server, store *Store) (shown ssh.PublicKey) {
	t.Helper()
	to := fleet.Target{Host: server.Host}
	client, err := ssh.Dial("tcp", to.Address(), &ssh.ClientConfig{
		User:              server.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(server.Signer)},
		HostKeyAlgorithms: store.Algorithms(to),
		HostKeyCallback: func(_ string, remote net.Addr, key ssh.PublicKey) error {
			shown = key
			return store.Check(to, remote, key)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	return shown
}

func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newSigner(t *testing.T, seed uint64) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(mrand.NewChaCha8([32]byte{byte(seed)}))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// newRSASigner returns a signer that uses one algorithm.
func newRSASigner(t *testing.T, algorithm string) ssh.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err = ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), []string{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}
