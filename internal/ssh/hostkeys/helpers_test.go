package hostkeys_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
)

var (
	_ ssh.HostKeys      = (*hostkeys.Verifier)(nil)
	_ ssh.PasswordGuard = (*hostkeys.Verifier)(nil)
)

// edKey returns the n-th Ed25519 key, the same one each time. Its private key is unknown, which
// suffices for everything except signing, and is fast.
func edKey(n uint64) xssh.PublicKey {
	point := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	return mustKey(ed25519.PublicKey(point[:]))
}

func ecdsaKey(t testing.TB) xssh.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return mustKey(&key.PublicKey)
}

// rsaKey returns a public key with a modulus of the given length. Its factors are unknown,
// which suffices for everything except signing.
func rsaKey(bits uint) xssh.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return mustKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
}

func mustKey(pub any) xssh.PublicKey {
	key, err := xssh.NewPublicKey(pub)
	if err != nil {
		panic(err)
	}
	return key
}

// line formats a line of known_hosts; names may begin with a marker.
func line(names string, key xssh.PublicKey) string {
	return names + " " + strings.TrimSuffix(string(xssh.MarshalAuthorizedKey(key)), "\n") + "\n"
}

func hashed(name string, salt uint64) string {
	var key [sha1.Size]byte
	binary.BigEndian.PutUint64(key[:], salt)
	mac := hmac.New(sha1.New, key[:])
	mac.Write([]byte(name))
	b64 := base64.StdEncoding.EncodeToString
	return "|1|" + b64(key[:]) + "|" + b64(mac.Sum(nil))
}

func file(t testing.TB, content ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(strings.Join(content, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, policy hostkeys.Policy, files ...string) *hostkeys.Store {
	t.Helper()
	s, err := hostkeys.Open(hostkeys.Options{Files: files, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func target(name string, port uint16) fleet.Target {
	return fleet.Target{Host: fleet.Host{Name: name}, Port: port}
}

// reason returns the reason of a refusal, "" for none. It asserts what every refusal
// guarantees.
func reason(t testing.TB, err error) fleet.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *fleet.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is not a *fleet.Error: %v", err, err)
	}
	if e.Outcome != fleet.OutcomeNeverStarted || e.Phase != fleet.PhaseHostkey || e.Err == nil {
		t.Errorf("refusal with outcome %v, phase %v, cause %v", e.Outcome, e.Phase, e.Err)
	}
	return e.Reason
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func hostName(i int) string { return fmt.Sprintf("node%05d.example.net", i) }
