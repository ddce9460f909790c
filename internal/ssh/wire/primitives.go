package wire

import (
	"crypto/ecdh"
	"crypto/mlkem"
)

// Secrets from which ephemeral keys are made, in bytes.
const (
	dhSecretSize = 32             // X25519 (RFC 7748 §5)
	kemSeedSize  = mlkem.SeedSize // d || z (FIPS 203 §7.1)
)

// A dhKey is an ephemeral key of a Diffie-Hellman exchange.
type dhKey interface {
	// share is the public key.
	share() []byte
	// agree gives the x coordinate that both sides come to. It refuses what is
	// not on the curve, the point at infinity, and for X25519 a result of all
	// zeros, which points of low order have (RFC 8731 §3).
	agree(peer []byte) ([]byte, error)
	// wipe overwrites the secret, where this package has it.
	wipe()
}

// A kemKey is an ephemeral key of ML-KEM-768.
type kemKey interface {
	encapsulationKey() []byte
	// decapsulate refuses a ciphertext only for its length: one that was made
	// up gives a secret that nobody knows (FIPS 203 §6.3).
	decapsulate(ciphertext []byte) ([]byte, error)
}

// dhFrom and kemFrom, which make these keys from their secrets, are those of the
// architecture: the standard library's below, or faster ones.

// A stdDH is the standard library's key of any curve.
type stdDH struct{ private *ecdh.PrivateKey }

func stdDHFrom(secret []byte) (dhKey, error) {
	private, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil, err
	}
	return stdDH{private}, nil
}

func (k stdDH) share() []byte { return k.private.PublicKey().Bytes() }

func (k stdDH) agree(peer []byte) ([]byte, error) {
	public, err := k.private.Curve().NewPublicKey(peer)
	if err != nil {
		return nil, err
	}
	return k.private.ECDH(public)
}

func (stdDH) wipe() {}

// A stdKEM is the standard library's ML-KEM-768.
type stdKEM struct{ private *mlkem.DecapsulationKey768 }

func stdKEMFrom(seed []byte) (kemKey, error) {
	private, err := mlkem.NewDecapsulationKey768(seed)
	if err != nil {
		return nil, err
	}
	return stdKEM{private}, nil
}

func (k stdKEM) encapsulationKey() []byte { return k.private.EncapsulationKey().Bytes() }

func (k stdKEM) decapsulate(ciphertext []byte) ([]byte, error) {
	return k.private.Decapsulate(ciphertext)
}
