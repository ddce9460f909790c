package memfs

import (
	"crypto/sha256"
	"slices"
	"unique"
)

// blockSize is the size of the pieces of a file that are stored once for all
// files that have them.
const blockSize = 32 << 10

// shareFrom is the size in bytes below which a block is not worth sharing.
const shareFrom = 1 << 10

// A block is up to blockSize bytes; the rest of it reads as zeros.
type block struct {
	own    []byte                // while it is written, and if it is small
	shared unique.Handle[string] // otherwise
}

var noHandle unique.Handle[string]

func (b block) bytes() int64 {
	if b.shared != noHandle {
		return int64(len(b.shared.Value()))
	}
	return int64(len(b.own))
}

// A content is the bytes of a file.
type content struct {
	size   int64
	blocks []block
}

// readAt fills p from off on and returns how much of it there is.
func (c *content) readAt(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-off)]
	n := len(p)
	for len(p) > 0 {
		i, at := int(off/blockSize), int(off%blockSize)
		piece := p[:min(len(p), blockSize-at)]
		clear(piece)
		if i < len(c.blocks) {
			if b := c.blocks[i]; b.shared != noHandle {
				if text := b.shared.Value(); at < len(text) {
					copy(piece, text[at:])
				}
			} else if at < len(b.own) {
				copy(piece, b.own[at:])
			}
		}
		p, off = p[len(piece):], off+int64(len(piece))
	}
	return n
}

// writeAt writes as much of p as room bytes more allow. It returns how much was
// written, and how many bytes more are in use.
func (c *content) writeAt(p []byte, off, room int64) (n int, grown int64) {
	for len(p) > 0 {
		i, at := int(off/blockSize), int(off%blockSize)
		piece := p[:min(len(p), blockSize-at)]
		had := int64(0)
		if i < len(c.blocks) {
			had = c.blocks[i].bytes()
		}
		more := max(0, int64(at+len(piece))-had)
		if more > room-grown {
			fits := max(0, int64(len(piece))-(more-(room-grown)))
			if fits == 0 {
				return n, grown
			}
			piece, p = piece[:fits], p[:fits]
			more = max(0, int64(at+len(piece))-had)
		}
		for len(c.blocks) <= i {
			c.blocks = append(c.blocks, block{})
		}
		b := &c.blocks[i]
		if b.shared != noHandle {
			b.own, b.shared = []byte(b.shared.Value()), noHandle
		}
		if want := at + len(piece); len(b.own) < want {
			b.own = slices.Grow(b.own, want-len(b.own))
			had := len(b.own)
			b.own = b.own[:want]
			clear(b.own[had:])
		}
		copy(b.own[at:], piece)
		n, grown = n+len(piece), grown+more
		p, off = p[len(piece):], off+int64(len(piece))
		c.size = max(c.size, off)
	}
	return n, grown
}

// truncate sets the size and returns how many bytes fewer are in use.
func (c *content) truncate(size int64) int64 {
	before := c.used()
	if size < c.size {
		keep := int((size + blockSize - 1) / blockSize)
		if keep < len(c.blocks) {
			clear(c.blocks[keep:])
			c.blocks = c.blocks[:keep]
		}
		if at := size % blockSize; at > 0 && keep == len(c.blocks) && keep > 0 {
			if b := &c.blocks[keep-1]; b.bytes() > at {
				if b.shared != noHandle {
					b.own, b.shared = []byte(b.shared.Value()), noHandle
				}
				b.own = b.own[:at:at]
			}
		}
	}
	c.size = size
	return before - c.used()
}

// seal stores the blocks that are worth it where equal ones are.
func (c *content) seal() {
	for i := range c.blocks {
		if b := &c.blocks[i]; len(b.own) >= shareFrom {
			b.own, b.shared = nil, unique.Make(string(b.own))
		} else {
			b.own = slices.Clip(b.own)
		}
	}
}

func (c *content) used() int64 {
	var sum int64
	for _, b := range c.blocks {
		sum += b.bytes()
	}
	return sum
}

// digest is the SHA-256 of the bytes.
func (c *content) digest() [sha256.Size]byte {
	h := sha256.New()
	buf := make([]byte, min(c.size, blockSize))
	for off := int64(0); off < c.size; {
		n := c.readAt(buf, off)
		h.Write(buf[:n])
		off += int64(n)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
