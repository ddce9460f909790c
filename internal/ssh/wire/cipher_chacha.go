package wire

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // deprecated in favour of RFC 8439's AEAD, which OpenSSH's cipher is older than
)

// A chachaState is chacha20-poly1305@openssh.com in one direction (OpenSSH's
// PROTOCOL.chacha20poly1305): the length field is encrypted under a separate key, and the
// tag covers both ciphertexts.
//
// The bodies are encrypted and decrypted by RFC 8439's AEAD, whose own tag is discarded: on
// amd64 only the AEAD is written in assembly, and even with the unused tag it is more than
// twice as fast as package chacha20.
type chachaState struct {
	bodies        cipher.AEAD
	main, lengths [chacha20.KeySize]byte
	nonce         [chacha20.NonceSize]byte
	once          [32]byte // the one-time Poly1305 key of one packet
	tag           [poly1305.TagSize]byte
}

func newChaCha(m keyMaterial, l letters) (*chachaState, error) {
	material := m.derive(l.key, 2*chacha20.KeySize)
	bodies, err := chacha20poly1305.New(material[:chacha20.KeySize])
	if err != nil {
		return nil, fmt.Errorf("taking keys into use: %w", err)
	}
	c := &chachaState{bodies: bodies}
	copy(c.main[:], material)
	copy(c.lengths[:], material[chacha20.KeySize:])
	return c, nil
}

// number sets the nonce to the sequence number as 64 bits. RFC 8439 has a nonce longer and a
// counter shorter by four bytes; with those at 0 the key stream is the same.
func (c *chachaState) number(seq uint32) {
	binary.BigEndian.PutUint32(c.nonce[chacha20.NonceSize-4:], seq)
}

// mask XORs p, at most one block, with the start of a key's stream.
func (c *chachaState) mask(key *[chacha20.KeySize]byte, p []byte) {
	s, _ := chacha20.NewUnauthenticatedCipher(key[:], c.nonce[:]) // fails for wrong sizes only
	s.XORKeyStream(p, p)
}

// sum sets c.tag to the tag of an encrypted packet, keyed by block 0 of the key stream.
func (c *chachaState) sum(packet []byte) {
	clear(c.once[:])
	c.mask(&c.main, c.once[:])
	poly1305.Sum(&c.tag, packet, &c.once)
}

func (c *chachaState) seal(dst, payload, rest []byte, seq uint32) []byte {
	start := len(dst)
	dst = frame(dst, payload, rest, plainAlign, true, poly1305.TagSize)
	return dst[:start+len(c.protect(dst[start:], seq))]
}

// protect encrypts a framed packet in place and appends the tag; packet must have capacity
// for it.
func (c *chachaState) protect(packet []byte, seq uint32) []byte {
	c.number(seq)
	c.mask(&c.lengths, packet[:lengthSize])
	c.bodies.Seal(packet[lengthSize:lengthSize], c.nonce[:], packet[lengthSize:], nil)
	c.sum(packet)
	return append(packet, c.tag[:]...)
}

func (c *chachaState) head() int { return lengthSize }

func (c *chachaState) size(head []byte, seq uint32) (int, error) {
	c.number(seq)
	length := c.once[:lengthSize]
	copy(length, head)
	c.mask(&c.lengths, length)
	return packetSize(length, plainAlign, true, poly1305.TagSize)
}

func (c *chachaState) open(packet []byte, seq uint32) ([]byte, error) {
	c.number(seq)
	packet, tag := packet[:len(packet)-poly1305.TagSize], packet[len(packet)-poly1305.TagSize:]
	c.sum(packet)
	if subtle.ConstantTimeCompare(c.tag[:], tag) != 1 {
		return nil, errAltered("PROTOCOL.chacha20poly1305")
	}
	// Seal decrypts too, because the cipher XORs; its tag overwrites the packet's.
	c.bodies.Seal(packet[lengthSize:lengthSize], c.nonce[:], packet[lengthSize:], nil)
	return unframe(packet)
}

func (c *chachaState) shrink() {}
