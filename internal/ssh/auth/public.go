package auth

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	// minRSABits is the least that an RSA key must have.
	minRSABits = 2048
	// maxBlob bounds a public key or certificate, in bytes. An RSA key of 16,384
	// bits takes 2 KiB, a certificate with all its principals some more.
	maxBlob = 64 << 10
)

// parsePublic reads a public key or certificate blob (RFC 4253 §6.6) that can
// be offered.
func parsePublic(blob []byte) (ssh.PublicKey, error) {
	if len(blob) > maxBlob {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(blob), maxBlob)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, err
	}
	return key, usable(key)
}

// usable says why a key is not offered whoever has it.
func usable(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		if err := checkCertificate(cert); err != nil {
			return err
		}
		key = cert.Key
	}
	switch key.Type() {
	case "ssh-dss":
		return errors.New("it is a DSA key, and those are too weak")
	case ssh.KeyAlgoRSA:
		able, ok := key.(ssh.CryptoPublicKey)
		if !ok {
			return errUnknownLength
		}
		pub, ok := able.CryptoPublicKey().(*rsa.PublicKey)
		if !ok {
			return errUnknownLength
		}
		if bits := pub.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("it is an RSA key of %d bits, less than %d", bits, minRSABits)
		}
	}
	return nil
}

var errUnknownLength = errors.New("it is an RSA key of unknown length")

// plain gives the key that a certificate certifies, or the key itself.
func plain(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// algorithmsOf lists how a key may sign, best first: RSA never with SHA-1
// (RFC 8332). A certificate's signatures are those of its key.
func algorithmsOf(key ssh.PublicKey) []string {
	key = plain(key)
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

// isHardware says that the private half is in a FIDO authenticator (OpenSSH,
// PROTOCOL.u2f).
func isHardware(key ssh.PublicKey) bool {
	return strings.HasPrefix(plain(key).Type(), "sk-")
}
