package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

const (
	gcmNonceSize = 12
	gcmTagSize   = 16
)

// A gcmState is AES-GCM in one direction (RFC 5647 §7). The length field is authenticated
// but not encrypted.
type gcmState struct {
	aead cipher.AEAD // nil after shrink
	key  [32]byte    // the first bits/8 bytes
	bits uint16
	// nonce is a fixed field of four bytes and an invocation counter of eight bytes,
	// incremented for each packet (RFC 5647 §7.1).
	nonce [gcmNonceSize]byte
}

func newGCM(size int, m keyMaterial, l letters) (*gcmState, error) {
	g := &gcmState{bits: uint16(8 * size)}
	copy(g.key[:], m.derive(l.key, size))
	copy(g.nonce[:], m.derive(l.iv, gcmNonceSize))
	if err := g.expand(); err != nil {
		return nil, fmt.Errorf("taking keys into use: %w", err)
	}
	return g, nil
}

// expand computes the key schedule and tables, some 750 bytes.
func (g *gcmState) expand() error {
	block, err := aes.NewCipher(g.key[:g.bits/8])
	if err != nil {
		return err
	}
	g.aead, err = cipher.NewGCM(block)
	return err
}

func (g *gcmState) shrink() { g.aead = nil }

// ready returns the AEAD, expanding the key again after shrink, which cannot fail then.
func (g *gcmState) ready() cipher.AEAD {
	if g.aead == nil {
		_ = g.expand()
	}
	return g.aead
}

// next increments the invocation counter.
func (g *gcmState) next() {
	counter := g.nonce[4:]
	binary.BigEndian.PutUint64(counter, binary.BigEndian.Uint64(counter)+1)
}

func (g *gcmState) seal(dst, payload, rest []byte, _ uint32) []byte {
	start := len(dst)
	dst = frame(dst, payload, rest, aes.BlockSize, true, gcmTagSize)
	return dst[:start+len(g.protect(dst[start:]))]
}

// protect encrypts a framed packet in place and appends the tag; packet must have capacity
// for it.
func (g *gcmState) protect(packet []byte) []byte {
	length, body := packet[:lengthSize], packet[lengthSize:]
	body = g.ready().Seal(body[:0], g.nonce[:], body, length)
	g.next()
	return packet[:lengthSize+len(body)]
}

func (g *gcmState) head() int { return lengthSize }

func (g *gcmState) size(head []byte, _ uint32) (int, error) {
	return packetSize(head, aes.BlockSize, true, gcmTagSize)
}

func (g *gcmState) open(packet []byte, _ uint32) ([]byte, error) {
	length, body := packet[:lengthSize], packet[lengthSize:]
	body, err := g.ready().Open(body[:0], g.nonce[:], body, length)
	if err != nil {
		return nil, errAltered("RFC 5647 §7.3")
	}
	g.next()
	return unframe(packet[:lengthSize+len(body)])
}
