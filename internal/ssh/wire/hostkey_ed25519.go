package wire

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"

	"golang.org/x/crypto/ssh"
)

// An ed25519Key is an Ed25519 host key as it came (RFC 8709 §4). The library's own
// type reads and writes keys by reflection, each time that they are compared with
// another: more than a dozen objects for the key that most servers have.
type ed25519Key []byte // the whole blob; fits has looked at it

func (k ed25519Key) Type() string { return ssh.KeyAlgoED25519 }

// Marshal gives the blob.
func (k ed25519Key) Marshal() []byte { return bytes.Clone(k) }

func (k ed25519Key) public() ed25519.PublicKey {
	return ed25519.PublicKey(k[len(k)-ed25519.PublicKeySize:])
}

// Verify checks a signature (RFC 8709 §6).
func (k ed25519Key) Verify(data []byte, sig *ssh.Signature) error {
	if sig.Format != ssh.KeyAlgoED25519 || len(sig.Blob) != ed25519.SignatureSize ||
		!ed25519.Verify(k.public(), data, sig.Blob) {
		return errors.New("the signature is not this key's")
	}
	return nil
}

// CryptoPublicKey implements ssh.CryptoPublicKey.
func (k ed25519Key) CryptoPublicKey() crypto.PublicKey {
	return ed25519.PublicKey(bytes.Clone(k.public()))
}

// parseHostKey reads a blob that fits, which it keeps.
func parseHostKey(blob []byte, plainType string) (ssh.PublicKey, error) {
	if plainType == ssh.KeyAlgoED25519 {
		return ed25519Key(blob), nil
	}
	return ssh.ParsePublicKey(blob)
}
