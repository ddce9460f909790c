package wire

import (
	"fmt"
	"strings"
)

// The ciphers: AES-GCM (RFC 5647 §5) under OpenSSH's names, which negotiate no MAC;
// chacha20-poly1305 (OpenSSH's PROTOCOL.chacha20poly1305); AES-CTR (RFC 4344 §4).
const (
	gcm128     = "aes128-gcm@openssh.com"
	gcm256     = "aes256-gcm@openssh.com"
	chachaPoly = "chacha20-poly1305@openssh.com"
	ctr128     = "aes128-ctr"
	ctr192     = "aes192-ctr"
	ctr256     = "aes256-ctr"
)

// The MACs (RFC 6668 §2). The etm ones (encrypt-then-MAC) authenticate the encrypted packet
// (OpenSSH's PROTOCOL, section 1.6).
const (
	hmac256    = "hmac-sha2-256"
	hmac512    = "hmac-sha2-512"
	etmSuffix  = "-etm@openssh.com"
	hmac256ETM = hmac256 + etmSuffix
	hmac512ETM = hmac512 + etmSuffix
)

// cipherNames lists the ciphers to offer, best first.
func cipherNames() []string {
	return []string{gcm128, gcm256, chachaPoly, ctr128, ctr256, ctr192}
}

// macNames lists the MACs to offer, best first.
func macNames() []string {
	return []string{hmac256ETM, hmac512ETM, hmac256, hmac512}
}

// authenticates reports whether a cipher needs no MAC.
func authenticates(cipher string) bool {
	return cipher == gcm128 || cipher == gcm256 || cipher == chachaPoly
}

// A sealer builds and encrypts the packets of one direction (RFC 4253 §6).
type sealer interface {
	// seal appends the whole packet that carries payload and, behind it, rest. seq is the
	// packet's sequence number (RFC 4253 §6.4). It does not allocate if dst has capacity.
	// Neither may overlap dst's free capacity.
	seal(dst, payload, rest []byte, seq uint32) []byte
	shrinker
}

// An opener decrypts the packets of one direction. For each packet size is called
// once, then open.
type opener interface {
	// head returns the number of bytes that size needs.
	head() int
	// size returns the length of the whole packet, length field and tag included.
	// It does not modify head. Errors are of KindProtocol.
	size(head []byte, seq uint32) (int, error)
	// open returns the payload of a whole packet, never empty. It works in place:
	// the payload shares packet's memory. Errors are of KindIntegrity if the packet
	// fails authentication, of KindProtocol otherwise; after an error the opener must
	// not be used.
	open(packet []byte, seq uint32) (payload []byte, err error)
	shrinker
}

// A shrinker can release the memory that is recomputed from the key at the next packet,
// which is most of it: for connections that wait.
type shrinker interface{ shrink() }

// A protection is the sealer or the opener of one direction. One value must not be used as
// both.
type protection interface {
	sealer
	opener
}

// newProtection makes the ciphers of the direction that l names.
func newProtection(d direction, m keyMaterial, l letters) (protection, error) {
	switch d.cipher {
	case gcm128, gcm256:
		return newGCM(keySize(d.cipher), m, l)
	case chachaPoly:
		return newChaCha(m, l)
	case ctr128, ctr192, ctr256:
		return newCTR(d, m, l)
	}
	return nil, fmt.Errorf("taking keys into use: cipher %q is not implemented", d.cipher)
}

// keySize returns the size of an AES cipher's key, in bytes.
func keySize(cipher string) int {
	switch {
	case strings.HasPrefix(cipher, "aes128"):
		return 16
	case strings.HasPrefix(cipher, "aes192"):
		return 24
	}
	return 32
}
