package auth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh/auth"
)

const canary = "correct-horse-canary-staple"

// rsaKey returns the 2048-bit RSA key that all tests share.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecdsaKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t testing.TB, key crypto.PrivateKey) xssh.PublicKey {
	t.Helper()
	signer, err := xssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

func fingerprint(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	return xssh.FingerprintSHA256(public(t, key))
}

// keyFile writes a key in OpenSSH's format, with its public key beside it.
func keyFile(t testing.TB, key crypto.PrivateKey, passphrase string) string {
	t.Helper()
	block, err := xssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	path := pemFile(t, block)
	if passphrase != "" {
		// One round of bcrypt: Go's takes long under the race detector.
		out, err := exec.Command(needs.Program(t, "ssh-keygen"), "-q", "-p", "-a", "1", "-P", "", "-N", passphrase, "-f", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.WriteFile(path+".pub", xssh.MarshalAuthorizedKey(public(t, key)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemFile(t testing.TB, block *pem.Block) string {
	t.Helper()
	return plainFile(t, pem.EncodeToMemory(block))
}

func plainFile(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pkcs8(t testing.TB, key crypto.PrivateKey) *pem.Block {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
}

func load(t testing.TB, o auth.Options) *auth.Set {
	t.Helper()
	s, err := auth.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func fingerprints(s *auth.Set) []string {
	var list []string
	for _, key := range s.Keys() {
		list = append(list, xssh.FingerprintSHA256(key))
	}
	return list
}

var someTarget = fleet.Target{Host: fleet.Host{Name: "h"}}

func signers(t testing.TB, s *auth.Set) []xssh.Signer {
	t.Helper()
	list, err := s.Signers(t.Context(), someTarget)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wantReason asserts what every failed attempt reports.
func wantReason(t testing.TB, err error, want fleet.Reason) {
	t.Helper()
	var e *fleet.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is not a *fleet.Error: %v", err, err)
	}
	if e.Reason != want || e.Outcome != fleet.OutcomeNeverStarted || e.Phase != fleet.PhaseAuth || e.Host != "h" {
		t.Errorf("%v, %v, %q on %q; want reason %q: %v", e.Outcome, e.Phase, e.Reason, e.Host, want, err)
	}
}

// listenUnix returns a socket; serve is called for each connection.
func listenUnix(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return path
}

// goAgent serves x/crypto's own agent.
func goAgent(t testing.TB, keys ...crypto.PrivateKey) (socket string, keyring agent.Agent) {
	t.Helper()
	keyring = agent.NewKeyring()
	for _, key := range keys {
		if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	return listenUnix(t, func(c net.Conn) { _ = agent.ServeAgent(keyring, c) }), keyring
}

// sshAgent starts a real agent and adds the keys to it.
func sshAgent(t testing.TB, keys ...crypto.PrivateKey) (socket string, process *os.Process) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "agent")
	return socket, sshAgentAt(t, socket, keys...)
}

func sshAgentAt(t testing.TB, socket string, keys ...crypto.PrivateKey) *os.Process {
	t.Helper()
	cmd := exec.Command(needs.Program(t, "ssh-agent"), "-D", "-a", socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// It prints its address once it listens.
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	client := agent.NewClient(c)
	for _, key := range keys {
		if err := client.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	return cmd.Process
}

// wantNoCanary asserts that no text of the Set or an error has the passphrase.
func wantNoCanary(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(text, canary) || strings.Contains(text, "canary") {
			t.Errorf("the passphrase is in %q", text)
		}
	}
}

func askFor(passphrase string, asked *int) func(string) ([]byte, error) {
	return func(string) ([]byte, error) {
		*asked++
		return bytes.Clone([]byte(passphrase)), nil
	}
}
