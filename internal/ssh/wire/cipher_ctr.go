package wire

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"math/bits"
	"strings"
)

// A ctrState is AES in counter mode (RFC 4344 §4) with an HMAC (RFC 6668) in one direction.
// With etm, the length field is not encrypted and the MAC covers the encrypted packet;
// without, the MAC covers the plaintext packet (RFC 4253 §6.4).
type ctrState struct {
	key, macKey []byte
	newHash     func() hash.Hash
	etm         bool
	counter     [aes.BlockSize]byte // of the next block
	stream      cipher.Stream       // nil after shrink, like mac
	mac         hash.Hash
	// first is the packet's decrypted first block, between size and open; unused
	// with etm.
	first [aes.BlockSize]byte
	seq   [4]byte
	sum   [sha512.Size]byte
}

func newCTR(d direction, m keyMaterial, l letters) (*ctrState, error) {
	c := new(ctrState)
	var name string
	name, c.etm = strings.CutSuffix(d.mac, etmSuffix)
	switch name {
	case hmac256:
		c.newHash = sha256.New
	case hmac512:
		c.newHash = sha512.New
	default:
		return nil, fmt.Errorf("taking keys into use: MAC %q is not implemented", d.mac)
	}
	c.key = bytes.Clone(m.derive(l.key, keySize(d.cipher)))
	c.macKey = bytes.Clone(m.derive(l.mac, c.newHash().Size()))
	copy(c.counter[:], m.derive(l.iv, aes.BlockSize))
	if err := c.expand(); err != nil {
		return nil, fmt.Errorf("taking keys into use: %w", err)
	}
	return c, nil
}

// expand computes the key schedule and the HMAC state, some 1,000 bytes.
func (c *ctrState) expand() error {
	block, err := aes.NewCipher(c.key)
	if err != nil {
		return err
	}
	c.stream = cipher.NewCTR(block, c.counter[:])
	c.mac = hmac.New(c.newHash, c.macKey)
	return nil
}

func (c *ctrState) shrink() { c.stream, c.mac = nil, nil }

// ready undoes shrink. It ignores the error because the same keys were expanded before.
func (c *ctrState) ready() {
	if c.stream == nil {
		_ = c.expand()
	}
}

// xor encrypts or decrypts whole blocks and advances the counter.
func (c *ctrState) xor(dst, src []byte) {
	c.stream.XORKeyStream(dst, src)
	low := binary.BigEndian.Uint64(c.counter[8:])
	sum, carry := bits.Add64(low, uint64(len(src)/aes.BlockSize), 0)
	binary.BigEndian.PutUint64(c.counter[8:], sum)
	binary.BigEndian.PutUint64(c.counter[:], binary.BigEndian.Uint64(c.counter[:])+carry)
}

// tag returns the MAC of a packet, plaintext or encrypted, that does not include its tag.
func (c *ctrState) tag(packet []byte, seq uint32) []byte {
	binary.BigEndian.PutUint32(c.seq[:], seq)
	c.mac.Reset()
	c.mac.Write(c.seq[:])
	c.mac.Write(packet)
	return c.mac.Sum(c.sum[:0])
}

func (c *ctrState) seal(dst, payload, rest []byte, seq uint32) []byte {
	c.ready()
	start := len(dst)
	dst = frame(dst, payload, rest, aes.BlockSize, c.etm, c.mac.Size())
	return dst[:start+len(c.protect(dst[start:], seq))]
}

// protect encrypts a framed packet in place and appends the tag; packet must have capacity
// for it.
func (c *ctrState) protect(packet []byte, seq uint32) []byte {
	if c.etm {
		c.xor(packet[lengthSize:], packet[lengthSize:])
		return append(packet, c.tag(packet, seq)...)
	}
	tag := c.tag(packet, seq)
	c.xor(packet, packet)
	return append(packet, tag...)
}

func (c *ctrState) head() int {
	if c.etm {
		return lengthSize
	}
	return aes.BlockSize
}

func (c *ctrState) size(head []byte, _ uint32) (int, error) {
	c.ready()
	if c.etm {
		return packetSize(head, aes.BlockSize, true, c.mac.Size())
	}
	c.xor(c.first[:], head[:aes.BlockSize])
	return packetSize(c.first[:], aes.BlockSize, false, c.mac.Size())
}

func (c *ctrState) open(packet []byte, seq uint32) ([]byte, error) {
	c.ready()
	end := len(packet) - c.mac.Size()
	packet, tag := packet[:end], packet[end:]
	if !c.etm {
		copy(packet, c.first[:])
		c.xor(packet[aes.BlockSize:], packet[aes.BlockSize:])
	}
	if !hmac.Equal(c.tag(packet, seq), tag) {
		return nil, errAltered("RFC 4253 §6.4")
	}
	if c.etm {
		c.xor(packet[lengthSize:], packet[lengthSize:])
	}
	return unframe(packet)
}
