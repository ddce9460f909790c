package sshwire

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
)

// An ecdhAgreement is a Diffie-Hellman exchange on one curve. It multiplies
// twice: once to make its key, once to agree.
type ecdhAgreement struct {
	private *ecdh.PrivateKey // nil once it has served
	share   []byte
	source  string
}

func newECDH(curve ecdh.Curve, source string) (*ecdhAgreement, error) {
	private, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an ephemeral key: %w", err)
	}
	return classic(private, source), nil
}

func classic(private *ecdh.PrivateKey, source string) *ecdhAgreement {
	return &ecdhAgreement{private: private, share: private.PublicKey().Bytes(), source: source}
}

func (a *ecdhAgreement) public() []byte { return a.share }

func (a *ecdhAgreement) agree(server []byte) ([]byte, error) {
	x, err := a.shared(server)
	if err != nil {
		return nil, err
	}
	return appendMPInt(make([]byte, 0, 4+1+len(x)), x), nil
}

// shared gives the agreed x coordinate. The standard library refuses what is not
// on the curve, the point at infinity, and for X25519 a result of all zeros,
// which points of low order have (RFC 8731 §3).
func (a *ecdhAgreement) shared(server []byte) ([]byte, error) {
	private := a.private
	if private == nil {
		return nil, errSpent
	}
	a.private = nil
	if len(server) != len(a.share) {
		return nil, fail(KindProtocol, a.source, "the server's ephemeral key has %d bytes and not %d", len(server), len(a.share))
	}
	peer, err := private.Curve().NewPublicKey(server)
	if err != nil {
		return nil, fail(KindProtocol, a.source, "reading the server's ephemeral key: %w", err)
	}
	x, err := private.ECDH(peer)
	if err != nil {
		return nil, fail(KindProtocol, a.source, "agreeing on a secret: %w", err)
	}
	return x, nil
}
