package wire

import (
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
)

// The key exchange methods: draft-ietf-sshm-mlkem-hybrid-kex, RFC 8731,
// RFC 5656 §4.
const (
	kexMLKEM         = "mlkem768x25519-sha256"
	kexCurve25519    = "curve25519-sha256"
	kexCurve25519Old = "curve25519-sha256@libssh.org"
	kexP256          = "ecdh-sha2-nistp256"
	kexP384          = "ecdh-sha2-nistp384"
	kexP521          = "ecdh-sha2-nistp521"
)

// kexNames lists the methods, best first.
func kexNames() []string {
	return []string{kexMLKEM, kexCurve25519, kexCurve25519Old, kexP256, kexP384, kexP521}
}

// A keyAgreement is our side of one key exchange. It can be used for one exchange only.
type keyAgreement interface {
	// public returns the string of the first message: Q_C (RFC 5656 §4) or C_INIT. It
	// may be called at any time.
	public() []byte
	// agree takes the string of the server's reply, Q_S or S_REPLY, and returns the
	// shared secret K encoded as it is hashed into the exchange hash and the keys: an
	// mpint (RFC 8731 §3.1), for the hybrid method a string. Errors are of KindProtocol.
	agree(server []byte) (secret []byte, err error)
	// wipe overwrites the secret if this package holds it; agree fails afterwards.
	wipe()
}

// respond is the server's side of one key exchange: public is the string of the client's message,
// reply that of the answer, and secret as keyAgreement.agree returns it.
func respond(method string, public []byte) (reply, secret []byte, err error) {
	if method == kexMLKEM {
		return respondHybrid(public)
	}
	key, err := newKeyAgreement(method)
	if err != nil {
		return nil, nil, err
	}
	secret, err = key.agree(public)
	return key.public(), secret, err
}

// errSpent means that a keyAgreement was used twice.
var errSpent = errors.New("an ephemeral key serves one key exchange only")

// newKeyAgreement generates the ephemeral keys for a method from crypto/rand.
func newKeyAgreement(name string) (keyAgreement, error) {
	switch name {
	case kexMLKEM:
		return newHybrid()
	case kexCurve25519, kexCurve25519Old:
		return newX25519("RFC 8731 §3")
	case kexP256:
		return newECDH(ecdh.P256(), "RFC 5656 §4")
	case kexP384:
		return newECDH(ecdh.P384(), "RFC 5656 §4")
	case kexP521:
		return newECDH(ecdh.P521(), "RFC 5656 §4")
	}
	return nil, fmt.Errorf("beginning a key exchange: %q is not implemented", name)
}

// kexHash returns the hash function of a method, for its exchange hash and keys; nil for a
// method that is not in kexNames.
func kexHash(name string) func() hash.Hash {
	switch name {
	case kexMLKEM, kexCurve25519, kexCurve25519Old, kexP256:
		return sha256.New
	case kexP384:
		return sha512.New384 // RFC 5656 §6.2.1: by the size of the curve
	case kexP521:
		return sha512.New
	}
	return nil
}
