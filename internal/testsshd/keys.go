package testsshd

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A KeyType is a kind of host key, as ssh-keygen(1) and dropbearkey(1) name it
// after -t.
type KeyType string

// The kinds of host key.
const (
	Ed25519 KeyType = "ed25519"
	ECDSA   KeyType = "ecdsa" // NIST P-256
	RSA     KeyType = "rsa"   // 2048 bits
)

// generateKey makes a key, writes it in OpenSSH's format to path, and its
// public half to path.pub.
func generateKey(t testing.TB, kind KeyType, path string) ssh.Signer {
	t.Helper()
	key, err := newKey(kind)
	if err != nil {
		t.Fatalf("making an %s key: %v", kind, err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, pem.EncodeToMemory(block), 0o600)
	write(t, path+".pub", ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o644)
	return signer
}

func newKey(kind KeyType) (crypto.PrivateKey, error) {
	switch kind {
	case RSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
}
