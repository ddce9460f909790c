package wire

import (
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

const (
	hybridSource = "draft-ietf-sshm-mlkem-hybrid-kex §2"
	x25519Size   = 32
)

// A hybridAgreement combines ML-KEM-768 and X25519: it is secure as long as one of them is.
type hybridAgreement struct {
	kem   kemKey // nil after use
	ecdh  *ecdhAgreement
	share []byte
}

func newHybrid() (*hybridAgreement, error) {
	var seed [kemSeedSize]byte
	_, _ = rand.Read(seed[:]) // it does not fail
	defer clear(seed[:])
	kem, err := kemFrom(seed[:])
	if err != nil {
		return nil, fmt.Errorf("making an ephemeral key: %w", err)
	}
	classic, err := newX25519(hybridSource)
	if err != nil {
		return nil, err
	}
	return hybrid(kem, classic), nil
}

func hybrid(kem kemKey, classic *ecdhAgreement) *hybridAgreement {
	// C_INIT: the encapsulation key, then the X25519 key.
	share := append(kem.encapsulationKey(), classic.share...)
	return &hybridAgreement{kem: kem, ecdh: classic, share: share}
}

func (a *hybridAgreement) public() []byte { return a.share }

// agree takes S_REPLY: the ciphertext, then the X25519 key. An invalid ciphertext
// decapsulates to a secret that nobody knows (FIPS 203 §6.3), so that verifying the signature
// fails.
func (a *hybridAgreement) agree(server []byte) ([]byte, error) {
	kem := a.kem
	if kem == nil {
		return nil, errSpent
	}
	defer a.wipe()
	if want := mlkem.CiphertextSize768 + x25519Size; len(server) != want {
		return nil, fail(KindProtocol, hybridSource, "the server's reply has %d bytes and not %d", len(server), want)
	}
	quantum, err := kem.decapsulate(server[:mlkem.CiphertextSize768])
	if err != nil {
		return nil, fail(KindProtocol, hybridSource, "decapsulating: %w", err)
	}
	classic, err := a.ecdh.shared(server[mlkem.CiphertextSize768:])
	if err != nil {
		return nil, err
	}
	return combine(quantum, classic), nil
}

// combine returns K as it is hashed.
func combine(quantum, classic []byte) []byte {
	secret := sha256.Sum256(append(quantum, classic...))
	return appendString(make([]byte, 0, 4+len(secret)), secret[:])
}

// respondHybrid is respond: the reply is the ciphertext, then the X25519 key.
func respondHybrid(public []byte) (reply, secret []byte, err error) {
	if want := mlkem.EncapsulationKeySize768 + x25519Size; len(public) != want {
		return nil, nil, fail(KindProtocol, hybridSource, "the client's key has %d bytes and not %d", len(public), want)
	}
	reply, quantum, err := encapsulate(public[:mlkem.EncapsulationKeySize768])
	if err != nil {
		return nil, nil, fail(KindProtocol, hybridSource, "encapsulating: %w", err)
	}
	key, err := newX25519(hybridSource)
	if err != nil {
		return nil, nil, err
	}
	classic, err := key.shared(public[mlkem.EncapsulationKeySize768:])
	if err != nil {
		return nil, nil, err
	}
	return append(reply, key.public()...), combine(quantum, classic), nil
}

func (a *hybridAgreement) wipe() {
	if a.kem != nil {
		a.kem.wipe()
		a.kem = nil // what was made of the seed belongs to the library and cannot be overwritten
	}
	a.ecdh.wipe()
}
