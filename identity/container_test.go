package identity

import (
	"crypto/ed25519"
	"encoding/pem"
	"testing"

	"golang.org/x/crypto/ssh"
)

// What we read of a container is never more than the parser reads: a file that
// the parser opens without a passphrase has no rounds.
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
