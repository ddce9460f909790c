package auth

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	// minRSABits is the minimum length of an RSA key.
	minRSABits = 2048
	// maxBlob bounds a public key or certificate, in bytes. An RSA key of 16,384 bits takes 2
	// KiB, a certificate with its principals some more.
	maxBlob = 64 << 10
)

// parsePublic parses the blob of a public key or certificate (RFC 4253 §6.6) and refuses one
// that cannot be offered.
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

// usable returns an error if a key must not be offered, wherever its private key is.
func usable(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		if err := checkCertificate(cert); err != nil {
			return err
		}
		key = cert.Key
	}
	if key.Type() == "ssh-dss" {
		return errors.New("it is a DSA key, and those are too weak")
	}
	return longEnough(key, minRSABits)
}

// longEnough returns an error for an RSA key, or the certificate of one, with fewer bits.
func longEnough(key ssh.PublicKey, bits int) error {
	if key = plain(key); key.Type() != ssh.KeyAlgoRSA {
		return nil
	}
	able, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return errUnknownLength
	}
	pub, ok := able.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return errUnknownLength
	}
	if has := pub.N.BitLen(); has < bits {
		return fmt.Errorf("it is an RSA key of %d bits, less than %d", has, bits)
	}
	return nil
}

var errUnknownLength = errors.New("it is an RSA key of unknown length")

// plain returns the key in a certificate, or the key itself.
func plain(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// algorithmsOf returns the signature algorithms of a key, best first: RSA never with SHA-1 (RFC
// 8332). A certificate signs with the algorithms of its key.
func algorithmsOf(key ssh.PublicKey) []string {
	key = plain(key)
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

// isHardware reports whether the private key is in a FIDO authenticator (OpenSSH,
// PROTOCOL.u2f).
func isHardware(key ssh.PublicKey) bool {
	return strings.HasPrefix(plain(key).Type(), "sk-")
}
