package wire

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

const (
	lengthSize = 4 // bytes of packet_length
	minPadding = 4
	// plainAlign is the alignment of packets if the cipher's block is not longer
	// (RFC 4253 §6).
	plainAlign = 8
)

// frame appends the plaintext packet of payload and rest (RFC 4253 §6), with capacity for tag
// bytes after it. The packet's size is a multiple of align; with aside its length field is not
// counted.
//
// The padding is random, as RFC 4253 §6 asks for, but security does not depend on that: with
// these modes equal plaintexts never have equal ciphertexts. So it comes from the runtime's
// generator (ChaCha8, seeded by the system), which costs nanoseconds and no state per
// connection.
func frame(dst, payload, rest []byte, align int, aside bool, tag int) []byte {
	size := len(payload) + len(rest)
	counted := 1 + size
	if !aside {
		counted += lengthSize
	}
	padding := align - counted%align
	if padding < minPadding {
		padding += align
	}
	length := 1 + size + padding
	dst = slices.Grow(dst, lengthSize+length+tag)
	dst = appendUint32(dst, uint32(length))
	dst = append(dst, byte(padding))
	dst = append(append(dst, payload...), rest...)
	return appendPadding(dst, padding)
}

// appendPadding appends n random bytes.
func appendPadding(dst []byte, n int) []byte {
	var word [8]byte
	for n > 0 {
		binary.LittleEndian.PutUint64(word[:], rand.Uint64())
		dst = append(dst, word[:min(n, len(word))]...)
		n -= len(word)
	}
	return dst
}

// packetSize checks packet_length, the unencrypted first four bytes of head, and returns the
// whole packet's size. See frame for align and aside.
func packetSize(head []byte, align int, aside bool, tag int) (int, error) {
	length := binary.BigEndian.Uint32(head)
	counted := uint64(length)
	if !aside {
		counted += lengthSize
	}
	switch size := lengthSize + uint64(length) + uint64(tag); {
	case size > MaxPacket:
		return 0, fail(KindProtocol, "RFC 4253 §6", "a packet of %d bytes came, more than %d", size, MaxPacket)
	case length < 1+minPadding:
		return 0, fail(KindProtocol, "RFC 4253 §6", "a packet of length %d came, which is too short", length)
	case counted%uint64(align) != 0:
		return 0, fail(KindProtocol, "RFC 4253 §6", "a packet of length %d came, which does not fit blocks of %d", length, align)
	default:
		return int(size), nil
	}
}

// unframe returns the payload of a decrypted packet without its tag.
func unframe(packet []byte) ([]byte, error) {
	rest := packet[lengthSize:]
	padding := int(rest[0])
	end := len(rest) - padding
	switch {
	case padding < minPadding:
		return nil, fail(KindProtocol, "RFC 4253 §6", "a packet with %d bytes of padding came, fewer than %d", padding, minPadding)
	case end <= 1:
		return nil, fail(KindProtocol, "RFC 4253 §6", "a packet of length %d with %d bytes of padding came: it holds no message", len(rest), padding)
	}
	return rest[1:end:end], nil
}

// plainSealer and plainOpener are used before the first NEWKEYS, when nothing is encrypted
// or authenticated (RFC 4253 §6.3, "none").
type (
	plainSealer struct{}
	plainOpener struct{}
)

func (plainSealer) seal(dst, payload, rest []byte, _ uint32) []byte {
	return frame(dst, payload, rest, plainAlign, false, 0)
}

func (plainSealer) shrink() {}
func (plainOpener) shrink() {}

func (plainOpener) head() int { return lengthSize }

func (plainOpener) size(head []byte, _ uint32) (int, error) {
	return packetSize(head, plainAlign, false, 0)
}

func (plainOpener) open(packet []byte, _ uint32) ([]byte, error) { return unframe(packet) }

// errAltered returns the error for a packet whose tag is wrong.
func errAltered(source string) error {
	return fail(KindIntegrity, source, "a packet was altered on its way, or was forged")
}
