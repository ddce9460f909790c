package auth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/internal/needs"
	"shoal/internal/ssh/auth"
)

// certificate returns a certificate for a key, modified by edit before it is signed.
func certificate(t testing.TB, key crypto.PrivateKey, edit func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	authority, err := ssh.NewSignerFromKey(edKey(t))
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{
		Key: public(t, key), CertType: ssh.UserCert, KeyId: "me",
		ValidPrincipals: []string{"root"}, ValidBefore: ssh.CertTimeInfinity,
	}
	if edit != nil {
		edit(cert)
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return cert
}

func certFile(t testing.TB, path string, cert *ssh.Certificate) {
	t.Helper()
	if err := os.WriteFile(path, ssh.MarshalAuthorizedKey(cert), 0o644); err != nil {
		t.Fatal(err)
	}
}

// kinds returns for each offered key whether it is a certificate.
func kinds(s *auth.Set) string {
	var b strings.Builder
	for _, k := range s.Keys() {
		if _, ok := k.(*ssh.Certificate); ok {
			b.WriteByte('C')
		} else {
			b.WriteByte('k')
		}
	}
	return b.String()
}

func wantSignatures(t testing.TB, s *auth.Set) {
	t.Helper()
	for _, signer := range signers(t, s) {
		multi := signer.(ssh.MultiAlgorithmSigner)
		for _, a := range append(multi.Algorithms(), "") {
			signature, err := multi.SignWithAlgorithm(rand.Reader, []byte("data"), a)
			if err != nil || a != "" && signature.Format != a || signer.PublicKey().Verify([]byte("data"), signature) != nil {
				t.Errorf("%s, %q: %v, %v", signer.PublicKey().Type(), a, signature, err)
			}
		}
		signature, err := signer.Sign(rand.Reader, []byte("data"))
		if err != nil || signature.Format == ssh.KeyAlgoRSA {
			t.Errorf("%s: %v, %v", signer.PublicKey().Type(), signature, err)
		}
	}
}

func TestACertificateIsOfferedBeforeItsKey(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]crypto.PrivateKey{"Ed25519": edKey(t), "ECDSA": ecdsaKey(t), "RSA": rsaKey()} {
		cert := certificate(t, key, nil)
		path := keyFile(t, key, "")
		beside := keyFile(t, key, "")
		certFile(t, beside+"-cert.pub", cert)
		elsewhere := filepath.Join(t.TempDir(), "cert")
		certFile(t, elsewhere, cert)
		withPlain, _ := goAgent(t, key)
		withCert, keyring := goAgent(t, key)
		if err := keyring.Add(agent.AddedKey{PrivateKey: key, Certificate: cert}); err != nil {
			t.Fatal(err)
		}
		onlyCert, keyring := goAgent(t)
		if err := keyring.Add(agent.AddedKey{PrivateKey: key, Certificate: cert}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name, want string
			o          auth.Options
		}{
			{"beside the key", "Ck", auth.Options{Files: []string{beside}}},
			{"beside the public key", "Ck", auth.Options{Files: []string{beside + ".pub"}, AgentSocket: withPlain}},
			{"named", "Ck", auth.Options{Files: []string{path}, Certificates: []string{elsewhere}}},
			{"named as a key", "Ck", auth.Options{Files: []string{elsewhere, path}}},
			{"named, key in the agent", "Ck", auth.Options{Certificates: []string{elsewhere}, AgentSocket: withPlain}},
			{"named, agent has only it", "C", auth.Options{Certificates: []string{elsewhere}, AgentSocket: onlyCert}},
			{"in the agent", "Ck", auth.Options{AgentSocket: withCert}},
			{"in the agent, without the key", "C", auth.Options{AgentSocket: onlyCert}},
			{"in the agent, key in a file", "Ck", auth.Options{AgentSocket: onlyCert, Files: []string{path}}},
			{"only files", "k", auth.Options{AgentSocket: withCert, Files: []string{path}, Only: true}},
			{"only files, named", "C", auth.Options{AgentSocket: withCert, Certificates: []string{elsewhere}, Only: true}},
		} {
			s := load(t, c.o)
			if got := kinds(s); got != c.want || len(s.Notices()) != 0 {
				t.Errorf("%s, %s: %q, want %q; notices %q", name, c.name, got, c.want, s.Notices())
			}
			wantSignatures(t, s)
		}
	}
}

func TestCertificatesThatAreNotOffered(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	past := uint64(time.Now().Add(-time.Hour).Unix())
	future := uint64(time.Now().Add(time.Hour).Unix())
	bad := certificate(t, key, nil)
	bad.KeyId = "changed"
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cert *ssh.Certificate
		want string
	}{
		{"for hosts", certificate(t, key, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }), "it is a certificate for a host"},
		{"over", certificate(t, key, func(c *ssh.Certificate) { c.ValidBefore = past }), `certificate "me" was valid until 20`},
		{"to come", certificate(t, key, func(c *ssh.Certificate) { c.ValidAfter = future }), `certificate "me" is not valid before 20`},
		{"to come one day", certificate(t, key, func(c *ssh.Certificate) { c.ValidAfter = 1 << 63 }), `before 9223372036854775808 s after 1970`},
		{"changed", bad, "its certificate's signature is wrong"},
		{"of a weak key", certificate(t, weak, nil), "RSA key of 1024 bits"},
		{"another's", certificate(t, edKey(t), nil), "its private key is in no named file and not in the agent"},
	} {
		path := keyFile(t, key, "")
		certFile(t, path+"-cert.pub", c.cert)
		s := load(t, auth.Options{Files: []string{path}})
		if n := s.Notices(); kinds(s) != "k" || len(n) != 1 || !strings.Contains(n[0], c.want) || !strings.Contains(n[0], path+"-cert.pub") {
			t.Errorf("%s: %q, notices %q, want %q", c.name, kinds(s), n, c.want)
		}
	}

	socket, keyring := goAgent(t, key)
	cert := certificate(t, key, func(c *ssh.Certificate) { c.CertType = ssh.HostCert })
	if err := keyring.Add(agent.AddedKey{PrivateKey: key, Certificate: cert, Comment: "cert"}); err != nil {
		t.Fatal(err)
	}
	s := load(t, auth.Options{AgentSocket: socket})
	if n := s.Notices(); kinds(s) != "k" || len(n) != 1 || !strings.Contains(n[0], `"cert": it is a certificate for a host`) {
		t.Errorf("keys %q, notices %q", kinds(s), n)
	}

	for _, path := range []string{filepath.Join(t.TempDir(), "none"), keyFile(t, key, "") + ".pub"} {
		_, err := auth.Load(t.Context(), auth.Options{Certificates: []string{path}})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("certificate file %q", path)) {
			t.Errorf("a named certificate file that cannot be used: %v", err)
		}
	}
}

// Certificates made by ssh-keygen and held by ssh-agent work.
func TestOpenSSHsOwnCertificates(t *testing.T) {
	t.Parallel()
	authority := keyFile(t, edKey(t), "")
	path := keyFile(t, rsaKey(), "")
	out, err := exec.Command(needs.Program(t, "ssh-keygen"), "-q", "-s", authority, "-I", "me", "-n", "root,admin", "-V", "+1d",
		"-O", "force-command=true", path+".pub").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := load(t, auth.Options{Files: []string{path}})
	if got := kinds(s); got != "Ck" || len(s.Notices()) != 0 {
		t.Errorf("%q, notices %q", got, s.Notices())
	}
	wantSignatures(t, s)

	socket, _ := sshAgent(t)
	add := exec.Command(needs.Program(t, "ssh-add"), "-q", path)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s = load(t, auth.Options{AgentSocket: socket})
	if got := kinds(s); got != "Ck" || len(s.Notices()) != 0 {
		t.Errorf("from the agent: %q, notices %q", got, s.Notices())
	}
	wantSignatures(t, s)
	want := []string{fmt.Sprintf("agent at %q", socket), fmt.Sprintf("agent at %q", socket)}
	var from []string
	for _, o := range s.Offers() {
		from = append(from, o.From)
	}
	if !slices.Equal(from, want) {
		t.Errorf("from %q, want %q", from, want)
	}
}
