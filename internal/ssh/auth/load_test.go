package auth_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/auth"
)

func TestKeyFilesOfEachFormatSign(t *testing.T) {
	t.Parallel()
	ec, err := x509.MarshalECPrivateKey(ecdsaKey(t))
	if err != nil {
		t.Fatal(err)
	}
	rsaAlgorithms := []string{"rsa-sha2-512", "rsa-sha2-256"}
	for _, c := range []struct {
		name       string
		path       string
		algorithms []string
	}{
		{"OpenSSH Ed25519", keyFile(t, edKey(t), ""), []string{"ssh-ed25519"}},
		{"OpenSSH ECDSA", keyFile(t, ecdsaKey(t), ""), []string{"ecdsa-sha2-nistp256"}},
		{"OpenSSH RSA", keyFile(t, rsaKey(), ""), rsaAlgorithms},
		{"OpenSSH encrypted", keyFile(t, edKey(t), canary), []string{"ssh-ed25519"}},
		{"PKCS #1", pemFile(t, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey())}), rsaAlgorithms},
		{"PKCS #8 RSA", pemFile(t, pkcs8(t, rsaKey())), rsaAlgorithms},
		{"PKCS #8 Ed25519", pemFile(t, pkcs8(t, edKey(t))), []string{"ssh-ed25519"}},
		{"SEC 1", pemFile(t, &pem.Block{Type: "EC PRIVATE KEY", Bytes: ec}), []string{"ecdsa-sha2-nistp256"}},
		{"PEM encrypted", pemFile(t, encryptedPEM(t, canary)), rsaAlgorithms},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			s := load(t, auth.Options{Files: []string{c.path}, Passphrase: askFor(canary, &asked)})
			list := signers(t, s)
			if len(list) != 1 || len(s.Notices()) != 0 {
				t.Fatalf("%d signers, notices %q", len(list), s.Notices())
			}
			if want := strings.Contains(c.name, "encrypted"); (asked == 1) != want || asked > 1 {
				t.Errorf("asked %d times for the passphrase", asked)
			}
			signer := list[0].(ssh.MultiAlgorithmSigner)
			if got := signer.Algorithms(); !slices.Equal(got, c.algorithms) {
				t.Errorf("algorithms %q, want %q", got, c.algorithms)
			}
			for _, a := range c.algorithms {
				signature, err := signer.SignWithAlgorithm(rand.Reader, []byte("data"), a)
				if err != nil || signature.Format != a || signer.PublicKey().Verify([]byte("data"), signature) != nil {
					t.Errorf("%s: signature %v, error %v", a, signature, err)
				}
			}
			if _, err := signer.SignWithAlgorithm(rand.Reader, nil, "ssh-rsa"); err == nil {
				t.Error("signs with SHA-1")
			}
		})
	}
}

func encryptedPEM(t testing.TB, passphrase string) *pem.Block {
	t.Helper()
	//nolint:staticcheck // deprecated for its weakness; such files exist
	block, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY",
		x509.MarshalPKCS1PrivateKey(rsaKey()), []byte(passphrase), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	return block
}

// faults.md: I12 A10
func TestNamedFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	open := keyFile(t, edKey(t), "")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, c := range []struct{ name, path, cause string }{
		{"missing", filepath.Join(t.TempDir(), "none"), "no such file or directory"},
		{"a directory", t.TempDir(), "it is not a regular file"},
		{"readable by others", open, "its mode 0644 lets others at it\nhint: chmod 600"},
		{"too large", plainFile(t, bytes.Repeat([]byte("x"), 1<<20+1)), "it is larger than 1048576 bytes"},
		{"rubbish", plainFile(t, []byte("rubbish")), "it is neither a private nor a public key"},
		{"RSA 1024", keyFile(t, weak, ""), "it is an RSA key of 1024 bits, less than 2048"},
		{"public only", plainFile(t, ssh.MarshalAuthorizedKey(public(t, edKey(t)))), "the agent does not have the private one"},
		{"a damaged certificate", plainFile(t, []byte("ssh-rsa-cert-v01@openssh.com AAAA")), "it is neither a private nor a public key"},
		{"wrong passphrase", keyFile(t, edKey(t), "another"), "opening it: the passphrase is wrong"},
		{"rounds", bomb(t, 1<<32-1), "its passphrase takes 4294967295 rounds of bcrypt, more than 512"},
		{"rounds", bomb(t, 513), "its passphrase takes 513 rounds of bcrypt, more than 512"},
		{"cut short", pemFile(t, &pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("openssh-key-v1\x00\x00\x00\x00\x09no")}), "the private key is cut short"},
		{"encrypted PKCS #8", pemFile(t, &pem.Block{Type: "ENCRYPTED PRIVATE KEY"}), "hint: rewrite it in OpenSSH's format"},
	} {
		asked = 0
		s, err := auth.Load(t.Context(), auth.Options{Files: []string{c.path}, Passphrase: askFor(canary, &asked)})
		if err == nil || s != nil || !strings.Contains(err.Error(), c.cause) || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.path)) {
			t.Errorf("%s: %v, %v; want %q", c.name, s, err, c.cause)
			continue
		}
		if want := c.name == "wrong passphrase"; (asked > 0) != want {
			t.Errorf("%s: asked %d times for a passphrase", c.name, asked)
		}
		wantNoCanary(t, err.Error())
	}
	_, err = auth.Load(t.Context(), auth.Options{Files: []string{"none-1", "none-2"}})
	if err == nil || !strings.Contains(err.Error(), "none-1") || !strings.Contains(err.Error(), "none-2") {
		t.Errorf("not all files are told of: %v", err)
	}
}

// A wrong passphrase is asked for again, three times in all; the same wrong one
// twice in a row ends it.
func TestPassphraseAgain(t *testing.T) {
	t.Parallel()
	path := keyFile(t, edKey(t), canary)
	for _, c := range []struct {
		answers []string
		ok      bool
		asked   int
	}{
		{[]string{canary}, true, 1},
		{[]string{"a", "b", canary}, true, 3},
		{[]string{"a", "b", "c", canary}, false, 3},
		{[]string{"a", "a", canary}, false, 2},
	} {
		asked := 0
		_, err := auth.Load(t.Context(), auth.Options{Files: []string{path}, Passphrase: func(string) ([]byte, error) {
			asked++
			return []byte(c.answers[asked-1]), nil
		}})
		if (err == nil) != c.ok || asked != c.asked {
			t.Errorf("%q: asked %d times, %v", c.answers, asked, err)
		}
	}
}

// bomb returns a key file that requests this number of bcrypt rounds (A10).
func bomb(t testing.TB, rounds uint32) string {
	t.Helper()
	content, err := os.ReadFile(keyFile(t, edKey(t), canary))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	// The rounds follow the 16-byte salt, which follows the KDF's name.
	at := bytes.Index(block.Bytes, []byte("bcrypt")) + len("bcrypt") + 4 + 4 + 16
	binary.BigEndian.PutUint32(block.Bytes[at:], rounds)
	return pemFile(t, block)
}

func TestAnEncryptedKeyNobodyCanOpenIsANotice(t *testing.T) {
	t.Parallel()
	path, plain := keyFile(t, edKey(t), canary), edKey(t)
	s := load(t, auth.Options{Files: []string{path, keyFile(t, plain, "")}})
	if got, want := fingerprints(s), []string{fingerprint(t, plain)}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	want := []string{fmt.Sprintf("key file %q: it is encrypted and there is no way to ask for its passphrase", path)}
	if !slices.Equal(s.Notices(), want) {
		t.Errorf("notices %q, want %q", s.Notices(), want)
	}
}

func TestThePassphraseIsOverwritten(t *testing.T) {
	t.Parallel()
	passphrase := []byte(canary)
	load(t, auth.Options{
		Files:      []string{keyFile(t, edKey(t), canary)},
		Passphrase: func(string) ([]byte, error) { return passphrase, nil },
	})
	if !bytes.Equal(passphrase, make([]byte, len(canary))) {
		t.Errorf("it is %q after use", passphrase)
	}
}

func TestDefaults(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	dir := filepath.Join(home, ".ssh")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if s := load(t, auth.Options{Defaults: true}); len(s.Keys()) != 0 || len(s.Notices()) != 0 {
		t.Errorf("without files: keys %q, notices %q", fingerprints(s), s.Notices())
	}
	ed, ec := edKey(t), ecdsaKey(t)
	for name, from := range map[string]string{
		"id_ed25519": keyFile(t, ed, ""), "id_ecdsa": keyFile(t, ec, ""), "id_rsa": plainFile(t, []byte("rubbish")),
	} {
		if err := os.Rename(from, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := load(t, auth.Options{Defaults: true})
	if got, want := fingerprints(s), []string{fingerprint(t, ed), fingerprint(t, ec)}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	if n := s.Notices(); len(n) != 1 || !strings.Contains(n[0], "id_rsa") {
		t.Errorf("notices %q", n)
	}
	s = load(t, auth.Options{Defaults: true, MaxKeys: 1})
	if n := s.Notices(); len(n) != 2 || !strings.Contains(n[0], "is not read: 1 others come first") {
		t.Errorf("notices %q", n)
	}
}

func TestNoKeys(t *testing.T) {
	t.Parallel()
	_, err := load(t, auth.Options{}).Signers(t.Context(), someTarget)
	wantReason(t, err, fleet.ReasonNoIdentity)
	if !strings.Contains(err.Error(), "hint: ") {
		t.Errorf("no hint in %q", err)
	}
}

func TestOrderAndNumber(t *testing.T) {
	t.Parallel()
	file1, file2, agent1, agent2 := edKey(t), ecdsaKey(t), edKey(t), edKey(t)
	socket, _ := goAgent(t, agent1, file1, agent2)
	path1, path2 := keyFile(t, file1, ""), keyFile(t, file2, "")
	of := func(keys ...crypto.PrivateKey) (list []string) {
		for _, key := range keys {
			list = append(list, fingerprint(t, key))
		}
		return list
	}
	for _, c := range []struct {
		name string
		o    auth.Options
		want []string
		left int
	}{
		{"files first, in their order", auth.Options{Files: []string{path2, path1}, MaxKeys: 3}, of(file2, file1, agent1), 1},
		{"each once", auth.Options{Files: []string{path1, path1}}, of(file1, agent1, agent2), 0},
		{"one", auth.Options{Files: []string{path1}, MaxKeys: 1}, of(file1), 2},
		{"many", auth.Options{Files: []string{path1, path2}, MaxKeys: 9}, of(file1, file2, agent1, agent2), 0},
		{"a public key whose private half is in the agent", auth.Options{Files: []string{
			plainFile(t, ssh.MarshalAuthorizedKey(public(t, agent2))),
		}}, of(agent2, agent1, file1), 0},
		{"a private key that is in the agent only", auth.Options{Files: []string{pubBeside(t, agent2)}}, of(agent2, agent1, file1), 0},
		{"that alone", auth.Options{Files: []string{pubBeside(t, agent2)}, Only: true}, of(agent2), 0},
		{"an encrypted key that is in the agent", auth.Options{Files: []string{keyFile(t, agent2, canary)}}, of(agent2, agent1, file1), 0},
	} {
		c.o.AgentSocket = socket
		s := load(t, c.o)
		if got := fingerprints(s); !slices.Equal(got, c.want) {
			t.Errorf("%s: keys %q, want %q", c.name, got, c.want)
		}
		if len(s.Notices()) != c.left {
			t.Errorf("%s: notices %q, want %d", c.name, s.Notices(), c.left)
		}
		for _, signer := range signers(t, s) {
			signature, err := signer.Sign(rand.Reader, []byte("data"))
			if err != nil || signer.PublicKey().Verify([]byte("data"), signature) != nil {
				t.Errorf("%s: %s does not sign: %v", c.name, ssh.FingerprintSHA256(signer.PublicKey()), err)
			}
		}
	}
}

// pubBeside returns the path of a private key file that is missing; its public key
// is beside it.
func pubBeside(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "work")
	if err := os.WriteFile(path+".pub", ssh.MarshalAuthorizedKey(public(t, key)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Without the agent's key the error names what is missing.
func TestPublicKeyAlone(t *testing.T) {
	t.Parallel()
	socket, _ := goAgent(t, edKey(t))
	path := pubBeside(t, ecdsaKey(t))
	_, err := auth.Load(t.Context(), auth.Options{Files: []string{path}, AgentSocket: socket, Only: true})
	if err == nil {
		t.Fatal("no error")
	}
	if want := "the agent does not have the key of \"" + path + ".pub\", and reading the private one: open " + path + ": no such file"; !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want it to say %q", err, want)
	}
}

// By default five keys are offered: sshd refuses the connection at the sixth failure.
// faults.md: A03
func TestFiveKeysByDefault(t *testing.T) {
	t.Parallel()
	var keys []crypto.PrivateKey
	for range 6 {
		keys = append(keys, edKey(t))
	}
	socket, _ := goAgent(t, keys...)
	s := load(t, auth.Options{AgentSocket: socket})
	if n := len(signers(t, s)); n != 5 || len(s.Notices()) != 1 || !strings.Contains(s.Notices()[0], "5 others come first") {
		t.Errorf("%d keys, notices %q; want 5 and one", n, s.Notices())
	}
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	for _, o := range []auth.Options{{MaxKeys: -1}, {SignTimeout: -1}} {
		if _, err := auth.Load(t.Context(), o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
