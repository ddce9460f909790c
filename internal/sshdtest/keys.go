package sshdtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A KeyType is a type of host key, named as by the -t flag of ssh-keygen(1) and
// dropbearkey(1).
type KeyType string

// The types of host key.
const (
	Ed25519 KeyType = "ed25519"
	ECDSA   KeyType = "ecdsa" // NIST P-256
	RSA     KeyType = "rsa"   // 3072 bits
)

const rsaBits = 3072

// makeHostKeys creates the host keys in OpenSSH's format and returns their
// files, named as OpenSSH names them.
func (s *Server) makeHostKeys(t testing.TB, o options) []string {
	t.Helper()
	var paths []string
	for _, kind := range o.hostKeys {
		path := filepath.Join(s.dir, "ssh_host_"+string(kind)+"_key")
		s.HostKeys = append(s.HostKeys, generateKey(t, kind, path).PublicKey())
		paths = append(paths, path)
	}
	return paths
}

// generateKey creates a key and writes it to path in OpenSSH's format, and its
// public half to path.pub.
func generateKey(t testing.TB, kind KeyType, path string) ssh.Signer {
	t.Helper()
	key, err := newKey(kind)
	if err != nil {
		t.Fatalf("making an %s key: %v", kind, err)
	}
	// Paramiko 2.12 cannot read every second key without a comment.
	block, err := ssh.MarshalPrivateKey(key, "test")
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
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
}
