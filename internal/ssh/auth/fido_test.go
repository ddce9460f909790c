package auth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/internal/ssh/auth"
)

// An authenticator is a FIDO key in an agent (OpenSSH, PROTOCOL.u2f).
type authenticator struct {
	agent.ExtendedAgent
	private ed25519.PrivateKey
	touch   func()
}

const application = "ssh:"

func (a authenticator) public() []byte {
	return ssh.Marshal(struct{ Type, Key, Application string }{
		ssh.KeyAlgoSKED25519, string(a.private.Public().(ed25519.PublicKey)), application,
	})
}

func (a authenticator) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: ssh.KeyAlgoSKED25519, Blob: a.public(), Comment: "touch me"}}, nil
}

func (a authenticator) SignWithFlags(_ ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	a.touch()
	state := binary.BigEndian.AppendUint32([]byte{1}, 7) // user present; counter
	app, message := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	signed := append(append(app[:], state...), message[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(a.private, signed), Rest: state}, nil
}

func asksFirst(s ssh.Signer) bool {
	a, ok := s.(interface{ AskFirst() bool })
	return ok && a.AskFirst()
}

func TestAFIDOKeyInTheAgent(t *testing.T) {
	t.Parallel()
	a := authenticator{private: edKey(t), touch: func() {}}
	socket := listenUnix(t, func(c net.Conn) { _ = agent.ServeAgent(a, c) })
	s := load(t, auth.Options{AgentSocket: socket})
	list := signers(t, s)
	if len(list) != 1 || !asksFirst(list[0]) {
		t.Fatalf("%d signers; want one that asks first; notices %q", len(list), s.Notices())
	}
	wantSignatures(t, s)
}

// The file of a FIDO key contains a handle: it identifies a key in the agent and has no other
// use, with or without a passphrase.
func TestAFIDOKeyFile(t *testing.T) {
	t.Parallel()
	a := authenticator{private: edKey(t), touch: func() {}}
	socket := listenUnix(t, func(c net.Conn) { _ = agent.ServeAgent(a, c) })
	container := "openssh-key-v1\x00" + string(ssh.Marshal(struct {
		Cipher, KDF, Options string
		N                    uint32
		Public, Private      []byte
	}{"none", "none", "", 1, a.public(), []byte("handle")}))
	path := pemFile(t, &pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte(container)})

	s := load(t, auth.Options{Files: []string{path}, AgentSocket: socket})
	if list := signers(t, s); len(list) != 1 || !asksFirst(list[0]) || len(s.Notices()) != 0 {
		t.Errorf("%d signers, notices %q", len(list), s.Notices())
	}
	s = load(t, auth.Options{Files: []string{path}})
	if n := s.Notices(); len(s.Keys()) != 0 || len(n) != 1 || !strings.Contains(n[0], "it is a FIDO key, which only an agent can use\nhint: ") {
		t.Errorf("%d keys, notices %q", len(s.Keys()), n)
	}
}

func TestWhoIsAskedFirst(t *testing.T) {
	t.Parallel()
	for comment, want := range map[string]bool{
		"me@here": false, "": false, "cardno:000612345678": true, "pkcs11:id=1": true,
		"/usr/lib/opensc-pkcs11.so": true, "/home/me/.ssh/id_rsa": false,
	} {
		socket, keyring := goAgent(t)
		if err := keyring.Add(agent.AddedKey{PrivateKey: edKey(t), Comment: comment}); err != nil {
			t.Fatal(err)
		}
		if got := asksFirst(signers(t, load(t, auth.Options{AgentSocket: socket}))[0]); got != want {
			t.Errorf("%q: %v, want %v", comment, got, want)
		}
	}
	if asksFirst(signers(t, load(t, auth.Options{Files: []string{keyFile(t, edKey(t), "")}}))[0]) {
		t.Error("a key from a file asks first")
	}
}

// A key whose signature needed a person's time asks first from then on.
func TestASlowKeyAsksFirstTheNextTime(t *testing.T) {
	t.Parallel()
	socket := faulty(t, func(good agent.Agent, key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
		if string(data) == "confirm" {
			<-time.After(1100 * time.Millisecond) // the person's time, which is under test
		}
		e, ok := good.(agent.ExtendedAgent)
		if !ok {
			return nil, errors.New("not extended")
		}
		return e.SignWithFlags(key, data, agent.SignatureFlagRsaSha512)
	})
	signer := signers(t, load(t, auth.Options{AgentSocket: socket}))[0]
	for _, c := range []struct {
		data string
		want bool
	}{{"data", false}, {"confirm", true}, {"data", true}} {
		if _, err := signer.Sign(rand.Reader, []byte(c.data)); err != nil {
			t.Fatal(err)
		}
		if got := asksFirst(signer); got != c.want {
			t.Errorf("after %q: %v, want %v", c.data, got, c.want)
		}
	}
}
