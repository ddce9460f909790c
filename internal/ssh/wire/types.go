package wire

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// A reader parses the data types of RFC 4251 §5. The first malformed value sets bad; after
// that it returns zero values, so that callers check once, at the end. Nothing is copied:
// strings share the message's memory.
type reader struct {
	rest []byte
	bad  bool
}

func read(p []byte) *reader { return &reader{rest: p} }

// done reports whether everything was well-formed and nothing is left over.
func (r *reader) done() bool { return !r.bad && len(r.rest) == 0 }

// bytes reads n bytes.
func (r *reader) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad = true
		return nil
	}
	p := r.rest[:n:n]
	r.rest = r.rest[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.bytes(1); p != nil {
		return p[0]
	}
	return 0
}

// bool reads a boolean; every value except 0 is true.
func (r *reader) bool() bool { return r.byte() != 0 }

func (r *reader) uint32() uint32 {
	if p := r.bytes(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// string reads a string: arbitrary, untrusted bytes.
func (r *reader) string() []byte {
	n := r.uint32()
	if uint64(n) > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	return r.bytes(int(n))
}

// names reads a name-list: printable US-ASCII, no name empty (RFC 4251 §5, §6).
func (r *reader) names() []string {
	names, _, ok := splitNames(string(r.string()), nil)
	if !ok {
		r.bad = true
	}
	return names
}

// splitNames splits the content of a name-list. The names share its memory. They are appended
// to all and returned in longer, which a caller with several lists passes to the next call.
func splitNames(list string, all []string) (names, longer []string, ok bool) {
	if len(list) == 0 {
		return nil, all, true
	}
	if all == nil {
		all = make([]string, 0, strings.Count(list, ",")+1)
	}
	start := len(all)
	for name := range strings.SplitSeq(list, ",") {
		if name == "" || !printable(name) || strings.Contains(name, " ") {
			return nil, all, false
		}
		all = append(all, name)
	}
	return all[start:len(all):len(all)], all, true
}

// clip copies the first n bytes of p.
func clip(p []byte, n int) string { return string(p[:min(len(p), n)]) }

// message returns the beginning of a message, with capacity for most.
func message(number byte) []byte { return append(make([]byte, 0, 128), number) }

func appendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	return append(appendUint32(dst, uint32(len(s))), s...)
}

func appendNames(dst []byte, names []string) []byte {
	start := len(dst)
	dst = appendUint32(dst, 0)
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, name...)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// appendMPInt appends the non-negative number with the big-endian bytes p as an mpint: without
// leading zeros, except one if the first bit is set.
func appendMPInt(dst, p []byte) []byte {
	for len(p) > 0 && p[0] == 0 {
		p = p[1:]
	}
	if len(p) > 0 && bits.LeadingZeros8(p[0]) == 0 {
		dst = appendUint32(dst, uint32(len(p)+1))
		dst = append(dst, 0)
		return append(dst, p...)
	}
	return appendString(dst, p)
}
