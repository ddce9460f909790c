package trust

import (
	"bytes"
	"crypto/sha1" // the format's own hash; it hides names and proves nothing
	"encoding/base64"
	"errors"
	"strings"
)

// hashPrefix begins a name that is hidden as HMAC-SHA1 (HASH_MAGIC in OpenSSH's
// hostfile.h): "|1|salt|hash", both in base64 and 20 bytes long.
const hashPrefix = "|1|"

// A hashedName is a name from which nothing but a match can be learned. The two
// pads of the HMAC (RFC 2104) are kept ready, since each is used for every name
// that is looked up.
type hashedName struct {
	inner, outer [sha1.BlockSize]byte
	hash         [sha1.Size]byte
}

func parseHashed(s string) (*hashedName, error) {
	encoded, ok := strings.CutPrefix(s, hashPrefix)
	if !ok {
		return nil, errors.New("a hashed name of an unknown kind")
	}
	salt, hash, ok := strings.Cut(encoded, "|")
	if !ok {
		return nil, errors.New("a hashed name without a hash")
	}
	var h hashedName
	var key [sha1.Size]byte
	if !decodeExactly(key[:], salt) {
		return nil, errors.New("a hashed name with a bad salt")
	}
	if !decodeExactly(h.hash[:], hash) {
		return nil, errors.New("a hashed name with a bad hash")
	}
	copy(h.inner[:], key[:])
	copy(h.outer[:], key[:])
	for i := range sha1.BlockSize {
		h.inner[i] ^= 0x36
		h.outer[i] ^= 0x5c
	}
	return &h, nil
}

// decodeExactly fills dst and says whether the text is the one way to write it:
// OpenSSH compares encoded texts.
func decodeExactly(dst []byte, encoded string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) != len(dst) || len(encoded) != base64.StdEncoding.EncodedLen(len(dst)) {
		return false
	}
	copy(dst, b)
	return true
}

// is says whether h hides this name. scratch is reused from call to call.
func (h *hashedName) is(name string, scratch *bytes.Buffer) bool {
	scratch.Reset()
	scratch.Write(h.inner[:])
	scratch.WriteString(name)
	inner := sha1.Sum(scratch.Bytes())
	var outer [sha1.BlockSize + sha1.Size]byte
	copy(outer[:], h.outer[:])
	copy(outer[sha1.BlockSize:], inner[:])
	return sha1.Sum(outer[:]) == h.hash
}
