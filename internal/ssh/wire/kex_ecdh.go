package wire

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
)

// An ecdhAgreement is a Diffie-Hellman exchange on one curve. It costs two scalar
// multiplications: one to generate the key, one to agree.
type ecdhAgreement struct {
	private dhKey // nil after use
	share   []byte
	source  string
}

func newECDH(curve ecdh.Curve, source string) (*ecdhAgreement, error) {
	private, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an ephemeral key: %w", err)
	}
	return classic(stdDH{private}, source), nil
}

func newX25519(source string) (*ecdhAgreement, error) {
	var secret [dhSecretSize]byte
	_, _ = rand.Read(secret[:]) // it does not fail
	defer clear(secret[:])
	private, err := dhFrom(secret[:])
	if err != nil {
		return nil, fmt.Errorf("making an ephemeral key: %w", err)
	}
	return classic(private, source), nil
}

func classic(private dhKey, source string) *ecdhAgreement {
	return &ecdhAgreement{private: private, share: private.share(), source: source}
}

func (a *ecdhAgreement) public() []byte { return a.share }

func (a *ecdhAgreement) agree(server []byte) ([]byte, error) {
	x, err := a.shared(server)
	if err != nil {
		return nil, err
	}
	return appendMPInt(make([]byte, 0, 4+1+len(x)), x), nil
}

// shared returns the x coordinate of the shared point.
func (a *ecdhAgreement) shared(server []byte) ([]byte, error) {
	private := a.private
	if private == nil {
		return nil, errSpent
	}
	defer a.wipe()
	if len(server) != len(a.share) {
		return nil, fail(KindProtocol, a.source, "the other side's ephemeral key has %d bytes and not %d", len(server), len(a.share))
	}
	x, err := private.agree(server)
	if err != nil {
		return nil, fail(KindProtocol, a.source, "agreeing on a secret: %w", err)
	}
	return x, nil
}

func (a *ecdhAgreement) wipe() {
	if a.private != nil {
		a.private.wipe()
		a.private = nil
	}
}
