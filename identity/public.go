package identity

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// minRSABits is the least that an RSA key must have.
const minRSABits = 2048

// parsePublic reads a public key blob (RFC 4253 §6.6) that can be offered.
func parsePublic(blob []byte) (ssh.PublicKey, error) {
	// Before parsing, since a certificate holds keys.
	keyType, _, ok := cutString(blob)
	if ok && strings.Contains(string(keyType), "-cert-v") {
		return nil, errCertificate
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, err
	}
	return key, usable(key)
}

var errCertificate = errors.New("it is a certificate, and those are not offered yet")

// usable says why a key is not offered whoever has it.
func usable(key ssh.PublicKey) error {
	switch key.Type() {
	case "ssh-dss":
		return errors.New("it is a DSA key, and those are too weak")
	case ssh.KeyAlgoRSA:
		pub, ok := key.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey)
		if !ok {
			return errors.New("it is an RSA key of unknown length")
		}
		if bits := pub.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("it is an RSA key of %d bits, less than %d", bits, minRSABits)
		}
	}
	return nil
}

// algorithmsOf lists how a key may sign, best first: RSA never with SHA-1
// (RFC 8332).
func algorithmsOf(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}
