package wire

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"

	"golang.org/x/crypto/ssh"
)

// An ed25519Key is an Ed25519 host key in wire format (RFC 8709 §4). The library's own type
// uses reflection each time a key is compared with another, which allocates more than a dozen
// objects for the key type that most servers have.
type ed25519Key []byte // the whole blob, checked by fits

func (k ed25519Key) Type() string { return ssh.KeyAlgoED25519 }

// Marshal returns the key in wire format.
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

// ed25519Head is what the blob of an Ed25519 key begins with: its type, and the length of the point.
const ed25519Head = "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"

// Ed25519Key returns the key if blob, which it keeps, is an Ed25519 key as ssh.ParsePublicKey takes it.
func Ed25519Key(blob []byte) (key ssh.PublicKey, ok bool) {
	if len(blob) != len(ed25519Head)+ed25519.PublicKeySize || string(blob[:len(ed25519Head)]) != ed25519Head {
		return nil, false
	}
	return ed25519Key(blob), true
}

// parseHostKey parses a blob for which fits is true. It keeps blob.
func parseHostKey(blob []byte, plainType string) (ssh.PublicKey, error) {
	if plainType == ssh.KeyAlgoED25519 {
		return ed25519Key(blob), nil
	}
	return ssh.ParsePublicKey(blob)
}
