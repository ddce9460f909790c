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
// PROTOCOL.chacha20poly1305): the length field is encrypted under a key of its
// own, and the tag covers both ciphertexts.
//
// The bodies are en- and decrypted by RFC 8439's AEAD, whose own tag is thrown
// away: on amd64 it alone is written in assembly, and with a tag that nobody needs
// it is still more than twice as fast as package chacha20.
type chachaState struct {
	bodies        cipher.AEAD
	main, lengths [chacha20.KeySize]byte
	nonce         [chacha20.NonceSize]byte
	once          [32]byte // the key of one packet's tag
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

// number sets the nonce to a sequence number of 64 bits. RFC 8439 has four bytes
// more of nonce and so much less of counter; with those at 0 the key stream is
// the same.
func (c *chachaState) number(seq uint32) {
	binary.BigEndian.PutUint32(c.nonce[chacha20.NonceSize-4:], seq)
}

// mask XORs p, not more than a block, with the start of a key's stream.
func (c *chachaState) mask(key *[chacha20.KeySize]byte, p []byte) {
	s, _ := chacha20.NewUnauthenticatedCipher(key[:], c.nonce[:]) // fails for wrong sizes only
	s.XORKeyStream(p, p)
}

// sum sets tag to that of an encrypted packet: its key is the stream's block 0.
func (c *chachaState) sum(packet []byte) {
	clear(c.once[:])
	c.mask(&c.main, c.once[:])
	poly1305.Sum(&c.tag, packet, &c.once)
}

func (c *chachaState) seal(dst, payload []byte, seq uint32) []byte {
	start := len(dst)
	dst = frame(dst, payload, plainAlign, true, poly1305.TagSize)
	return dst[:start+len(c.protect(dst[start:], seq))]
}

// protect encrypts a framed packet in place and appends the tag, for which it has
// room.
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
	// The stream is its own inverse. What Seal appends goes where the tag was.
	c.bodies.Seal(packet[lengthSize:lengthSize], c.nonce[:], packet[lengthSize:], nil)
	return unframe(packet)
}

func (c *chachaState) shrink() {}
