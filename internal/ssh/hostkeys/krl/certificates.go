package krl

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/crypto/ssh"
)

// certificates are the revoked certificates of one authority.
type certificates struct {
	serials []span
	bitmaps []bitmap
	ids     map[string]struct{}
}

// A span is an inclusive range of serial numbers.
type span struct{ from, to uint64 }

// A bitmap revokes the serial number from+n for each bit n that is set, counted from the last
// bit of the last byte. It keeps the file's encoding: expanded, a byte would take up to 64.
type bitmap struct {
	from uint64
	bits []byte
}

func (b bitmap) has(serial uint64) bool {
	if serial < b.from {
		return false
	}
	n := serial - b.from
	if n/8 >= uint64(len(b.bits)) {
		return false
	}
	return b.bits[uint64(len(b.bits))-1-n/8]>>(n%8)&1 == 1
}

// last returns the index of the highest bit that is set; 0 for an empty bitmap.
func (b bitmap) last() uint64 {
	if len(b.bits) == 0 {
		return 0
	}
	return uint64(8*(len(b.bits)-1) + bits.Len8(b.bits[0]) - 1)
}

// revoke reports whether c revokes the certificate; a nil c revokes none.
func (c *certificates) revoke(cert *ssh.Certificate) bool {
	if c == nil {
		return false
	}
	if _, ok := c.ids[cert.KeyId]; ok {
		return true
	}
	if cert.Serial == 0 {
		return false
	}
	after, _ := slices.BinarySearchFunc(c.serials, cert.Serial, func(s span, serial uint64) int {
		if s.from <= serial {
			return -1
		}
		return 1
	})
	if after > 0 && cert.Serial <= c.serials[after-1].to {
		return true
	}
	return slices.ContainsFunc(c.bitmaps, func(b bitmap) bool { return b.has(cert.Serial) })
}

// sort sorts the spans and merges those that overlap.
func (c *certificates) sort() {
	slices.SortFunc(c.serials, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	joined := c.serials[:0]
	for _, s := range c.serials {
		if last := len(joined) - 1; last >= 0 && s.from <= joined[last].to {
			joined[last].to = max(joined[last].to, s.to)
		} else {
			joined = append(joined, s)
		}
	}
	c.serials = joined
}

// The subsections of a certificate section.
const (
	partSerials   = 0x20
	partRange     = 0x21
	partBitmap    = 0x22
	partIDs       = 0x23
	partExtension = 0x39
)

// certificates reads a certificate section. An authority may have several.
func (l *List) certificates(r *reader) {
	authority := string(r.string()) // "" means any
	r.string()                      // reserved
	c := l.authorities[authority]
	if c == nil {
		c = &certificates{ids: make(map[string]struct{})}
		l.authorities[authority] = c
	}
	for r.more() {
		kind := r.byte()
		part := reader{rest: r.string()}
		if r.err == nil {
			r.err = c.part(kind, &part)
		}
	}
}

func (c *certificates) part(kind byte, r *reader) error {
	switch kind {
	case partSerials:
		for r.more() {
			serial := r.uint64()
			c.serials = append(c.serials, span{serial, serial})
		}
	case partRange:
		from, to := r.uint64(), r.uint64()
		if r.err == nil && from > to {
			return fmt.Errorf("a range of serial numbers from %d to %d", from, to)
		}
		c.serials = append(c.serials, span{from, to})
		r.end()
	case partBitmap:
		b := bitmap{r.uint64(), r.mpint()}
		if b.from+b.last() < b.from {
			return fmt.Errorf("a bitmap of serial numbers beyond the largest, from %d", b.from)
		}
		c.bitmaps = append(c.bitmaps, b)
		r.end()
	case partIDs:
		for r.more() {
			c.ids[string(r.string())] = struct{}{}
		}
	case partExtension:
		r.extension()
	default:
		return fmt.Errorf("a part of the unknown kind %#x in a section of certificates", kind)
	}
	return r.err
}
