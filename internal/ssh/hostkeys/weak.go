package hostkeys

import (
	"crypto/rsa"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// minRSABits is the minimum length of an RSA key.
const minRSABits = 2048

// Weak returns an error if a key is too weak to prove anything, whoever vouches for it: a DSA
// key, or an RSA key below 2048 bits. For a certificate it checks the certified key. Every
// policy refuses such a key, and so do dialers.
func Weak(key ssh.PublicKey) error { return weakBelow(minRSABits, key) }

func weakBelow(bits int, key ssh.PublicKey) error {
	if c, ok := key.(*ssh.Certificate); ok && c != nil && c.Key != nil {
		key = c.Key
	}
	switch key.Type() {
	case "ssh-dss":
		return weak(key, "is a DSA key of 1024 bits")
	case ssh.KeyAlgoRSA:
		switch has, ok := rsaBits(key); {
		case !ok:
			return weak(key, "does not tell its length")
		case has < bits:
			return weak(key, fmt.Sprintf("has %d bits, less than %d", has, bits))
		}
	}
	return nil
}

func rsaBits(key ssh.PublicKey) (int, bool) {
	k, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return 0, false
	}
	pub, ok := k.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return 0, false
	}
	return pub.N.BitLen(), true
}
