package hostkeys

import (
	"crypto/rand"
	"crypto/sha1" // known_hosts prescribes SHA-1; it hides names and proves nothing
	"encoding/base64"
	"errors"
	"strings"
)

// hashPrefix begins a name that is hidden as HMAC-SHA1 (HASH_MAGIC in OpenSSH's hostfile.h):
// "|1|salt|hash", both in base64 and 20 bytes long. The salt is the HMAC key.
const hashPrefix = "|1|"

// A hashedName is a host name hidden as HMAC-SHA1; it can only be compared with a name.
type hashedName struct {
	salt, hash [sha1.Size]byte
}

func parseHashed(s string) (hashedName, error) {
	var h hashedName
	encoded, ok := strings.CutPrefix(s, hashPrefix)
	if !ok {
		return h, errors.New("a hashed name of an unknown kind")
	}
	salt, hash, ok := strings.Cut(encoded, "|")
	switch {
	case !ok:
		return h, errors.New("a hashed name without a hash")
	case !decodeExactly(h.salt[:], salt):
		return h, errors.New("a hashed name with a bad salt")
	case !decodeExactly(h.hash[:], hash):
		return h, errors.New("a hashed name with a bad hash")
	}
	return h, nil
}

// decodeExactly decodes into dst and reports whether the text is the canonical encoding of
// len(dst) bytes: OpenSSH compares encoded texts.
func decodeExactly(dst []byte, encoded string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) != len(dst) || len(encoded) != base64.StdEncoding.EncodedLen(len(dst)) {
		return false
	}
	copy(dst, b)
	return true
}

// is reports whether h is the hash of this name.
func (h *hashedName) is(name string) bool { return hashOf(&h.salt, name) == h.hash }

func (h hashedName) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return hashPrefix + b64(h.salt[:]) + "|" + b64(h.hash[:])
}

// hide returns the name hashed with a new salt.
func hide(name string) hashedName {
	var h hashedName
	_, _ = rand.Read(h.salt[:]) // never fails: without randomness the program ends
	h.hash = hashOf(&h.salt, name)
	return h
}

// The pads of an HMAC (RFC 2104 §2).
const (
	innerPad = 0x36
	outerPad = 0x5c
)

// hashOf computes HMAC-SHA1. crypto/hmac allocates, and without vector instructions this is
// called for each name and line.
func hashOf(salt *[sha1.Size]byte, name string) [sha1.Size]byte {
	var space [sha1.BlockSize + maxName + 2*len("[]:65535")]byte
	block := padded(salt, innerPad)
	inner := sha1.Sum(append(append(space[:0], block[:]...), name...))
	block = padded(salt, outerPad)
	return sha1.Sum(append(append(space[:0], block[:]...), inner[:]...))
}

// padded returns the first block of an HMAC: the salt xor the pad.
func padded(salt *[sha1.Size]byte, pad byte) [sha1.BlockSize]byte {
	var block [sha1.BlockSize]byte
	copy(block[:], salt[:])
	for i := range block {
		block[i] ^= pad
	}
	return block
}
