package hostkeys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/hostkeys"
)

// noon is the time at which the certificates of these tests are checked.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func edSigner(n uint64) ssh.Signer {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], n)
	return mustSigner(ed25519.NewKeyFromSeed(seed[:]))
}

func mustSigner(key any) ssh.Signer {
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		panic(err)
	}
	return s
}

func rsaSigner(t testing.TB, bits int) ssh.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return mustSigner(key)
}

// certify returns a valid host certificate for "h", modified by change before it is signed.
func certify(t testing.TB, key ssh.PublicKey, authority ssh.Signer, change ...func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key:             key,
		Serial:          7,
		CertType:        ssh.HostCert,
		KeyId:           "id",
		ValidPrincipals: []string{"h"},
		ValidAfter:      uint64(noon.Add(-time.Hour).Unix()),
		ValidBefore:     uint64(noon.Add(time.Hour).Unix()),
	}
	for _, f := range change {
		f(c)
	}
	if err := c.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return c
}

func principals(names ...string) func(*ssh.Certificate) {
	return func(c *ssh.Certificate) { c.ValidPrincipals = names }
}

func openAtNoon(t testing.TB, o hostkeys.Options) *hostkeys.Store {
	t.Helper()
	o.Now = func() time.Time { return noon }
	s, err := hostkeys.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// K14, by the rules of OpenSSH 10.3.
// faults.md: K14
func TestCertificates(t *testing.T) {
	ca, other := edSigner(100), edSigner(101)
	caKey := ca.PublicKey()
	key := edKey(1)
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaCA := mustSigner(ecdsaKey)
	rsaCA, shortCA := rsaSigner(t, 2048), rsaSigner(t, 1024)
	sha1CA, err := ssh.NewSignerWithAlgorithms(rsaCA.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	authority := line("@cert-authority h", caKey)
	at := func(after, before time.Duration) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) {
			c.ValidAfter, c.ValidBefore = uint64(noon.Add(after).Unix()), uint64(noon.Add(before).Unix())
		}
	}
	for _, c := range []struct {
		name  string
		known string
		port  uint16
		cert  *ssh.Certificate
		want  fleet.Reason // under Strict
		text  string       // in the refusal
	}{
		{"good", authority, 22, certify(t, key, ca), isTrusted, ""},
		{"no authority known", "", 22, certify(t, key, ca), isUnknown, "its authority is not known for this host"},
		{"another authority", line("@cert-authority h", other.PublicKey()), 22, certify(t, key, ca), isUnknown, "not known for this host"},
		{"an authority for another host", line("@cert-authority g", caKey), 22, certify(t, key, ca), isUnknown, "not known for this host"},
		{"the authority as a plain key", line("h", caKey), 22, certify(t, key, ca), isChanged, "not known for this host"},
		{"one authority of several", line("@cert-authority *", other.PublicKey()) + authority, 22, certify(t, key, ca), isTrusted, ""},
		{"a wildcard authority", line("@cert-authority *,!g", caKey), 22, certify(t, key, ca), isTrusted, ""},
		{"a hashed authority", line("@cert-authority "+hashed("h", 1), caKey), 22, certify(t, key, ca), isTrusted, ""},
		{"an ECDSA authority", line("@cert-authority h", ecdsaCA.PublicKey()), 22, certify(t, key, ecdsaCA), isTrusted, ""},
		{"an RSA authority", line("@cert-authority h", rsaCA.PublicKey()), 22, certify(t, key, rsaCA), isTrusted, ""},
		{"an RSA host key", authority, 22, certify(t, rsaKey(2048), ca), isTrusted, ""},

		{"expired", authority, 22, certify(t, key, ca, at(-time.Hour, -time.Second)), isUnknown, "it has expired at 2026-06-01T11:59:59Z"},
		{"expiring now", authority, 22, certify(t, key, ca, at(-time.Hour, 0)), isUnknown, "it has expired"},
		{"not yet valid", authority, 22, certify(t, key, ca, at(time.Second, time.Hour)), isUnknown, "valid only from 2026-06-01T12:00:01Z on"},
		{"valid from now on", authority, 22, certify(t, key, ca, at(0, time.Hour)), isTrusted, ""},
		{"valid for ever", authority, 22, certify(t, key, ca, func(c *ssh.Certificate) {
			c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity
		}), isTrusted, ""},
		{"valid after the end of time", authority, 22, certify(t, key, ca, func(c *ssh.Certificate) {
			c.ValidAfter, c.ValidBefore = 1<<63, ssh.CertTimeInfinity
		}), isUnknown, "valid only from second 9223372036854775808 on"},

		{"another principal", authority, 22, certify(t, key, ca, principals("g")), isUnknown, `it is for "g" and not for "h"`},
		{"many principals", authority, 22, certify(t, key, ca, principals("1", "2", "3", "4", "5", "6")), isUnknown, `"5" and 1 more and not for`},
		{"one principal of several", authority, 22, certify(t, key, ca, principals("g", "h")), isTrusted, ""},
		{"no principals", authority, 22, certify(t, key, ca, principals()), isUnknown, "it names no host"},
		{"a wildcard principal", authority, 22, certify(t, key, ca, principals("?")), isTrusted, ""},
		{"a wildcard principal for others", authority, 22, certify(t, key, ca, principals("*.example")), isUnknown, "not for"},
		{"a principal in upper case", authority, 22, certify(t, key, ca, principals("H")), isUnknown, "not for"},
		{"a user certificate", authority, 22, certify(t, key, ca, func(c *ssh.Certificate) { c.CertType = ssh.UserCert }), isUnknown, "not a host certificate"},
		{"a critical option", authority, 22, certify(t, key, ca, func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{"force-command": "true"}
		}), isUnknown, "critical option"},
		{"an extension", authority, 22, certify(t, key, ca, func(c *ssh.Certificate) {
			c.Extensions = map[string]string{"anything": ""}
		}), isTrusted, ""},
		{"SHA-1", line("@cert-authority h", rsaCA.PublicKey()), 22, certify(t, key, sha1CA), isUnknown, `it is signed with "ssh-rsa"`},
		{"a short authority", line("@cert-authority h", shortCA.PublicKey()), 22, certify(t, key, shortCA), isUnknown, "authority's key is too weak"},
		{"a short key", authority, 22, certify(t, rsaKey(2047), ca), isWeak, "has 2047 bits"},
		{"a forged signature", authority, 22, func() *ssh.Certificate {
			c := certify(t, key, other)
			c.SignatureKey = caKey
			return c
		}(), isUnknown, "its signature is not the authority's"},
		{"changed after signing", authority, 22, func() *ssh.Certificate {
			c := certify(t, key, ca)
			c.ValidPrincipals = []string{"g", "h"}
			return c
		}(), isUnknown, "its signature is not the authority's"},

		{"only the plain key known", line("h", key), 22, certify(t, key, ca), isTrusted, ""},
		{"expired, the plain key known", authority + line("h", key), 22, certify(t, key, ca, at(-time.Hour, -1)), isTrusted, ""},
		{"expired, another plain key known", authority + line("h", edKey(2)), 22, certify(t, key, ca, at(-time.Hour, -1)), isChanged, "it has expired"},
		{"good, another plain key known", authority + line("h", edKey(2)), 22, certify(t, key, ca), isTrusted, ""},

		{"revoked key", authority + line("@revoked *", key), 22, certify(t, key, ca), isRevoked, ":2 revokes this key"},
		{"revoked authority", authority + line("@revoked *", caKey), 22, certify(t, key, ca), isRevoked, ":2 revokes the authority of its certificate"},
		{"revoked authority, the plain key known", line("h", key) + line("@revoked *", caKey), 22, certify(t, key, ca), isRevoked, ""},
		{"another authority revoked", authority + line("@revoked *", other.PublicKey()), 22, certify(t, key, ca), isTrusted, ""},

		{"a port", line("@cert-authority [h]:2222", caKey), 2222, certify(t, key, ca), isTrusted, ""},
		{"a port falls back to the name", authority, 2222, certify(t, key, ca), isTrusted, ""},
		{"a port, revoked for the name", line("@cert-authority [h]:2222", caKey) + line("@revoked h", caKey), 2222, certify(t, key, ca), isRevoked, ""},
		{"a principal with the port", line("@cert-authority [h]:2222", caKey), 2222, certify(t, key, ca, principals("[h]:2222")), isUnknown, "not for"},
		{"a port, the plain key under the name", line("h", key), 2222, certify(t, key, ca), isTrusted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openAtNoon(t, hostkeys.Options{Files: []string{file(t, c.known)}})
			err := s.Check(target("h", c.port), nil, c.cert)
			if got := reason(t, err); got != c.want {
				t.Errorf("%q, want %q: %v", got, c.want, err)
			}
			if c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)) {
				t.Errorf("%v lacks %q", err, c.text)
			}
			insecure := openAtNoon(t, hostkeys.Options{Files: []string{file(t, c.known)}, Policy: hostkeys.Insecure})
			want := c.want
			if want == isUnknown || want == isChanged {
				want = isTrusted
			}
			if got := reason(t, insecure.Check(target("h", c.port), nil, c.cert)); got != want {
				t.Errorf("insecure: %q, want %q", got, want)
			}
		})
	}
}

// CASignatureAlgorithms restricts the algorithms of authorities, and cannot add SHA-1.
func TestCASignatures(t *testing.T) {
	rsaCA := rsaSigner(t, 2048)
	sha1CA, err := ssh.NewSignerWithAlgorithms(rsaCA.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	modern, old := certify(t, edKey(1), rsaCA), certify(t, edKey(1), sha1CA)
	for _, c := range []struct {
		allowed []string
		cert    *ssh.Certificate
		want    fleet.Reason
	}{
		{nil, modern, isTrusted},
		{[]string{"ssh-ed25519", modern.Signature.Format}, modern, isTrusted},
		{[]string{"ssh-ed25519"}, modern, isUnknown},
		{[]string{}, modern, isUnknown},
		{[]string{"ssh-rsa", "rsa-sha2-256"}, old, isUnknown},
	} {
		o := hostkeys.Options{Files: []string{file(t, line("@cert-authority h", rsaCA.PublicKey()))}, CASignatures: c.allowed}
		err := openAtNoon(t, o).Check(target("h", 22), nil, c.cert)
		if got := reason(t, err); got != c.want {
			t.Errorf("%q, signed with %s: %q (%v), want %q", c.allowed, c.cert.Signature.Format, got, err, c.want)
		}
		if c.cert == modern && c.want == isUnknown && !strings.Contains(err.Error(), "which CASignatureAlgorithms does not name") {
			t.Errorf("the refusal does not say why: %v", err)
		}
	}
}

func TestCertificatesThatAreNotWhole(t *testing.T) {
	t.Parallel()
	ca := edSigner(100)
	good := certify(t, edKey(1), ca)
	type custom struct{ ssh.PublicKey }
	for name, change := range map[string]func(*ssh.Certificate){
		"no key":                      func(c *ssh.Certificate) { c.Key = nil },
		"no authority":                func(c *ssh.Certificate) { c.SignatureKey = nil },
		"no signature":                func(c *ssh.Certificate) { c.Signature = nil },
		"a certificate as key":        func(c *ssh.Certificate) { c.Key = good },
		"a certificate as authority":  func(c *ssh.Certificate) { c.SignatureKey = good },
		"one in disguise as the key":  func(c *ssh.Certificate) { c.Key = custom{good} },
		"one in disguise as the root": func(c *ssh.Certificate) { c.SignatureKey = custom{good} },
	} {
		c := *good
		change(&c)
		for _, policy := range []hostkeys.Policy{hostkeys.Strict, hostkeys.AcceptNew, hostkeys.Insecure} {
			s := openAtNoon(t, hostkeys.Options{
				Files: []string{file(t, line("@cert-authority h", ca.PublicKey()), line("h", edKey(1)))}, Policy: policy,
			})
			if got := reason(t, s.Check(target("h", 22), nil, &c)); got != isFailed {
				t.Errorf("%s, %v: %q, want %q", name, policy, got, isFailed)
			}
		}
	}
	s := openAtNoon(t, hostkeys.Options{Policy: hostkeys.Insecure})
	if got := reason(t, s.Check(target("h", 22), nil, custom{good})); got != isFailed {
		t.Errorf("a certificate in disguise: %q, want %q", got, isFailed)
	}
	if got := reason(t, s.Check(target("h", 22), nil, (*ssh.Certificate)(nil))); got != isFailed {
		t.Errorf("a nil certificate: %q, want %q", got, isFailed)
	}
}

// The plain key of a certificate with an unknown authority is learned; nothing is learned from
// a trusted certificate.
func TestLearningFromCertificates(t *testing.T) {
	t.Parallel()
	ca, key := edSigner(100), edKey(1)
	for _, c := range []struct {
		known, want string
	}{
		{"", line("h", key)},
		{line("@cert-authority h", ca.PublicKey()), ""},
		{line("h", key), ""},
	} {
		path := file(t, c.known)
		s := openAtNoon(t, hostkeys.Options{Files: []string{path}, Policy: hostkeys.AcceptNew})
		cert := certify(t, key, ca)
		if err := s.Check(target("h", 22), nil, cert); err != nil {
			t.Fatal(err)
		}
		if err := s.Accepted(context.Background(), target("h", 22), cert); err != nil {
			t.Fatal(err)
		}
		if got := readFile(t, path); got != c.known+c.want {
			t.Errorf("file %q, want %q", got, c.known+c.want)
		}
	}
}

// Certificates are offered first if an authority is known, otherwise never.
func TestCertificateAlgorithms(t *testing.T) {
	t.Parallel()
	ca := edKey(100)
	s := open(t, hostkeys.Strict, file(t,
		line("@cert-authority ca,both", ca), line("both", rsaKey(2048)), line("@revoked revoked", ca), line("plain", ca)))
	certs := []string{
		ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	}
	for _, c := range []struct {
		host string
		port uint16
		want []string
	}{
		{"ca", 22, append(slices.Clone(certs), ssh.KeyAlgoED25519)},
		{"both", 22, append(slices.Clone(certs), ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoED25519)},
		{"ca", 2222, append(slices.Clone(certs), ssh.KeyAlgoED25519)},
		{"plain", 22, []string{ssh.KeyAlgoED25519}},
		{"revoked", 22, []string{ssh.KeyAlgoED25519}},
		{"other", 22, []string{ssh.KeyAlgoED25519}},
	} {
		got := s.Algorithms(target(c.host, c.port))
		if len(got) < len(c.want) || !slices.Equal(got[:len(c.want)], c.want) {
			t.Errorf("%s: %q does not begin with %q", c.host, got, c.want)
		}
		if slices.Contains(got[len(c.want):], certs[0]) {
			t.Errorf("%s: %q offers certificates late", c.host, got)
		}
	}
}

func TestAliases(t *testing.T) {
	t.Parallel()
	ca, key := edSigner(100), edKey(1)
	path := file(t, line("Shared", key), line("[boxed]:2222", key), line("@cert-authority shared", ca.PublicKey()))
	aliases := map[string]string{"a": "shared", "b": "SHARED", "c": "[boxed]:2222", "d": "two,names", "e": "new"}
	s := openAtNoon(t, hostkeys.Options{Files: []string{path}, Policy: hostkeys.AcceptNew})
	at := func(name string, port uint16) fleet.Target {
		to := target(name, port)
		to.Route = &fleet.Route{HostKeyAlias: aliases[name]}
		return to
	}
	for _, c := range []struct {
		host string
		port uint16
		key  ssh.PublicKey
		want fleet.Reason
	}{
		{"a", 22, key, isTrusted},
		{"a", 2222, key, isTrusted}, // an alias has no port
		{"b", 22, key, isTrusted},
		{"c", 9, key, isTrusted},
		{"a", 22, edKey(2), isChanged},
		{"d", 22, key, isFailed},
		{"a", 22, certify(t, edKey(3), ca, principals("shared")), isTrusted},
		{"a", 22, certify(t, edKey(3), ca, principals("a")), isChanged},
	} {
		if got := reason(t, s.Check(at(c.host, c.port), nil, c.key)); got != c.want {
			t.Errorf("%s:%d: %q, want %q", c.host, c.port, got, c.want)
		}
	}
	if err := s.Check(at("e", 2222), nil, key); err != nil {
		t.Fatal(err)
	}
	if err := s.Accepted(context.Background(), at("e", 2222), key); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path); !strings.HasSuffix(got, "\n"+line("new", key)) {
		t.Errorf("learned: %q", got)
	}
}
