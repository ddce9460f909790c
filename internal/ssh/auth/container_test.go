package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// We never read more of a container than the parser does: a file that the parser opens without
// a passphrase has no rounds.
func FuzzContainer(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, passphrase := range []string{"", "x"} {
		block, err := ssh.MarshalPrivateKey(key, "")
		if passphrase != "" {
			block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(block.Bytes)
	}
	f.Add([]byte(containerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseContainer(b)
		signer, parseErr := ssh.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: b}))
		if parseErr != nil {
			return
		}
		if err != nil || c.rounds != 0 || c.check() != nil {
			t.Errorf("a key without passphrase: %+v, %v", c, err)
		}
		if public := c.publicKey(); public != nil && string(public.Marshal()) != string(c.public) {
			t.Errorf("public key %q, of %q", public.Marshal(), signer.PublicKey().Marshal())
		}
	})
}

// setRounds sets the bcrypt rounds of a container: they follow the 16-byte salt, which follows
// the KDF's name.
func setRounds(container []byte, rounds uint32) {
	at := bytes.Index(container, []byte("bcrypt")) + len("bcrypt") + 4 + 4 + 16
	binary.BigEndian.PutUint32(container[at:], rounds)
}

func writeKey(t testing.TB, block *pem.Block) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The certificate expires during the run: from then on only its key is offered, and without a
// key the error says why.
func TestACertificateThatEndsInTheRun(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "me", ValidAfter: 1000, ValidBefore: 2000}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	path := writeKey(t, block)
	if err := os.WriteFile(path+"-cert.pub", ssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	for maxKeys, want := range map[int]string{2: "", 1: `certificate "me" was valid until 1970-01-01T00:33:20Z`} {
		k, err := NewKeyring(KeyringOptions{MaxKeys: maxKeys})
		if err != nil {
			t.Fatal(err)
		}
		now := int64(1999)
		k.now = func() time.Time { return time.Unix(now, 0) }
		s, err := k.Set(t.Context(), KeySpec{Files: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Signers(t.Context(), fleet.Target{})
		if err != nil || len(list) != maxKeys || list[0].PublicKey().Type() != ssh.CertAlgoED25519v01 {
			t.Errorf("in its time: %d signers, %v", len(list), err)
		}
		now = 2000
		list, err = s.Signers(t.Context(), fleet.Target{})
		if want == "" {
			if err != nil || len(list) != 1 || list[0].PublicKey().Type() != ssh.KeyAlgoED25519 {
				t.Errorf("after it: %d signers, %v", len(list), err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("after it: %v, want %q", err, want)
		}
	}
}
