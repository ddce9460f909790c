package wire

import (
	"crypto/ecdh"
	"crypto/mlkem"
)

// Sizes of the secrets from which ephemeral keys are generated, in bytes.
const (
	dhSecretSize = 32             // X25519 (RFC 7748 §5)
	kemSeedSize  = mlkem.SeedSize // d || z (FIPS 203 §7.1)
)

// A dhKey is an ephemeral key of a Diffie-Hellman exchange.
type dhKey interface {
	// share returns the public key.
	share() []byte
	// agree returns the x coordinate of the shared point. It refuses peer values that
	// are not on the curve, the point at infinity and, for X25519, an all-zero result,
	// which points of low order cause (RFC 8731 §3).
	agree(peer []byte) ([]byte, error)
	// wipe overwrites the secret if this package holds it.
	wipe()
}

// A kemKey is an ephemeral key of ML-KEM-768.
type kemKey interface {
	// encapsulationKey returns the public key with room for what follows it, each time the same
	// memory.
	encapsulationKey() []byte
	// decapsulate refuses a ciphertext only if its length is wrong: an invalid one
	// results in a secret that nobody knows (FIPS 203 §6.3).
	decapsulate(ciphertext []byte) ([]byte, error)
	// wipe overwrites the secret if this package holds it.
	wipe()
}

// dhFrom and kemFrom, which derive these keys from their secrets, depend on the architecture:
// they use the standard library, below, or faster implementations.

// encapsulate makes a secret for the owner of an ML-KEM-768 encapsulation key, with capacity for
// what follows: it depends on the architecture too.

func stdEncapsulate(public []byte) (ciphertext, shared []byte, err error) {
	key, err := mlkem.NewEncapsulationKey768(public)
	if err != nil {
		return nil, nil, err
	}
	shared, ciphertext = key.Encapsulate()
	return ciphertext, shared, nil
}

// A stdDH is a crypto/ecdh key of any curve.
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

// A stdKEM is a crypto/mlkem key.
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

func (stdKEM) wipe() {}
