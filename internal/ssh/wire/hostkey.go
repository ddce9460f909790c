package wire

import (
	"bytes"
	"crypto/ed25519"
	"math/bits"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Limits on the computation that a server can cause before its key is trusted.
const (
	// maxHostKey bounds a host key or certificate, in bytes; an RSA certificate
	// of 16,384 bits, signed by such a key, has some 7,000.
	maxHostKey = 32 << 10
	// maxSignature bounds a signature: RSA with 16,384 bits has 2,048 bytes.
	maxSignature = 2<<10 + 64
	// minModulus and maxModulus bound an RSA modulus, in bits. ssh-keygen makes
	// 1,024 to 16,384; a stricter minimum is the caller's policy.
	minModulus, maxModulus = 1024, 16384
	// maxPoint bounds a point of a curve, in bytes: P-521 uncompressed.
	maxPoint = 1 + 2*66
	// maxExponent bounds an RSA exponent, in bits: verification costs one squaring
	// for each bit.
	maxExponent = 24
)

const certSuffix = "-cert-v01@openssh.com"

// hostKeySource names the sections that specify host keys and their signatures.
const hostKeySource = "RFC 4253 §6.6, §8"

// verifyHostKey verifies the signature of the exchange hash h in a key exchange reply
// (RFC 4253 §8, RFC 5656 §4) and returns the host key or certificate. Whether it is the right
// key for this host is for the caller to verify. Errors are of KindHostKey.
//
// The algorithms are those of HostKeyAlgorithms and their certificates (OpenSSH's
// PROTOCOL.certkeys); with a certificate the certified key signs.
func verifyHostKey(algorithm string, blob, signature, h []byte) (ssh.PublicKey, error) {
	base, cert := strings.CutSuffix(algorithm, certSuffix)
	if len(blob) > maxHostKey || len(signature) > maxSignature {
		return nil, fail(KindHostKey, hostKeySource, "the server's host key has %d bytes and its signature %d, which is too much", len(blob), len(signature))
	}
	if !fits(blob, keyType(base), cert) {
		return nil, fail(KindHostKey, hostKeySource, "the server's host key is not a key for %q", algorithm)
	}
	r := read(signature)
	format, value := r.string(), r.string()
	if !r.done() || string(format) != base {
		return nil, fail(KindHostKey, hostKeySource, "the server's signature is not one of %q", base)
	}
	// The parser keeps parts of its input, and blob shares a buffer that is reused.
	key, err := parseHostKey(bytes.Clone(blob), algorithm)
	if err != nil {
		return nil, fail(KindHostKey, hostKeySource, "reading the server's host key: %w", err)
	}
	signer := key
	if c, ok := key.(*ssh.Certificate); ok {
		signer = c.Key
	}
	if err := signer.Verify(h, &ssh.Signature{Format: base, Blob: value}); err != nil {
		return nil, fail(KindHostKey, "RFC 4253 §8", "the server's signature of the key exchange is wrong")
	}
	return key, nil
}

// keyType returns the type of the keys that sign with an algorithm, "" for an unsupported
// one. The type of RSA keys is ssh-rsa, also the name of the SHA-1 signatures, which are
// never accepted (RFC 8332 §3).
func keyType(algorithm string) string {
	switch algorithm {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return algorithm
	case ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
		return ssh.KeyAlgoRSA
	}
	return ""
}

// fits reports whether a blob is exactly one key, or one certificate of a key, of type want
// with all sizes within the limits, so that it may be parsed.
func fits(blob []byte, want string, cert bool) bool {
	r := read(blob)
	if !cert {
		return string(r.string()) == want && keyFields(r, want) && r.done()
	}
	if string(r.string()) != want+certSuffix {
		return false
	}
	r.string() // nonce
	if !keyFields(r, want) {
		return false
	}
	r.bytes(8)           // serial
	r.uint32()           // type
	r.string()           // key id
	r.string()           // valid principals
	r.bytes(8)           // valid after
	r.bytes(8)           // valid before
	r.string()           // critical options
	r.string()           // extensions
	r.string()           // reserved
	signer := r.string() // signature key
	r.string()           // signature
	return r.done() && signerFits(signer)
}

// signerFits reports whether a blob is a plain key that can sign certificates. Certificates
// cannot: they do not nest (OpenSSH's PROTOCOL.certkeys).
func signerFits(blob []byte) bool {
	r := read(blob)
	t := string(r.string())
	if plain, fido := fidoType(t); fido {
		ok := keyFields(r, plain)
		r.string() // application (OpenSSH's PROTOCOL.u2f)
		return ok && r.done()
	}
	return keyFields(r, t) && r.done()
}

// fidoType returns the plain type whose fields are the first fields of a FIDO key.
func fidoType(t string) (plain string, fido bool) {
	switch t {
	case ssh.KeyAlgoSKED25519:
		return ssh.KeyAlgoED25519, true
	case ssh.KeyAlgoSKECDSA256:
		return ssh.KeyAlgoECDSA256, true
	}
	return "", false
}

// keyFields reads the fields of a key of type t and reports whether they are within the
// limits (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4).
func keyFields(r *reader, t string) bool {
	switch t {
	case ssh.KeyAlgoED25519:
		return len(r.string()) == ed25519.PublicKeySize
	case ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		r.string() // curve
		return len(r.string()) <= maxPoint
	case ssh.KeyAlgoRSA:
		e, n := bitLen(r.string()), bitLen(r.string())
		return 1 < e && e <= maxExponent && minModulus <= n && n <= maxModulus
	}
	return false
}

// bitLen returns the length in bits of a positive mpint without superfluous leading zeros
// (RFC 4251 §5); 0 for anything else.
func bitLen(mpint []byte) int {
	if len(mpint) > 1 && mpint[0] == 0 && mpint[1]&0x80 != 0 {
		mpint = mpint[1:]
	} else if len(mpint) == 0 || mpint[0] == 0 || mpint[0]&0x80 != 0 {
		return 0
	}
	return len(mpint)*8 - bits.LeadingZeros8(mpint[0])
}
