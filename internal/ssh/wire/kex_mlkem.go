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

// A hybridAgreement is ML-KEM-768 and X25519 at once: it holds as long as one of
// them does.
type hybridAgreement struct {
	kem   kemKey // nil once it has served
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

// agree takes S_REPLY: the ciphertext, then the X25519 key. A ciphertext that
// was made up decapsulates to a secret that nobody knows (FIPS 203 §6.3), so
// that the signature and the first tag fail.
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
	secret := sha256.Sum256(append(quantum, classic...))
	return appendString(make([]byte, 0, 4+len(secret)), secret[:]), nil
}

func (a *hybridAgreement) wipe() {
	a.kem = nil // whose memory is the library's
	a.ecdh.wipe()
}
