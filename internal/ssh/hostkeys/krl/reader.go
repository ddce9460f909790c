package krl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

var (
	errShort    = errors.New("it is cut short")
	errTrailing = errors.New("it goes on where it should end")
)

// A reader decodes the data types of RFC 4251 §5. After an error it returns zero values; rest
// is not retained.
type reader struct {
	rest []byte
	err  error
}

// more reports whether there is input left and no error.
func (r *reader) more() bool { return r.err == nil && len(r.rest) > 0 }

// end sets an error if there is input left.
func (r *reader) end() {
	if r.more() {
		r.err = errTrailing
	}
}

func (r *reader) take(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.rest)) {
		r.err = errShort
	}
	if r.err != nil {
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) string() []byte { return r.take(uint64(r.uint32())) }

// exactly reads a string of n bytes; after an error it returns n zero bytes.
func (r *reader) exactly(n int) []byte {
	b := r.string()
	if r.err == nil && len(b) != n {
		r.err = fmt.Errorf("a fingerprint of %d bytes, not %d", len(b), n)
	}
	if r.err != nil {
		return make([]byte, n)
	}
	return b
}

// mpint reads a non-negative number and strips leading zeros.
func (r *reader) mpint() []byte {
	b := r.string()
	if len(b) > 0 && b[0]&0x80 != 0 {
		r.err = errors.New("a negative bitmap")
		return nil
	}
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return slices.Clone(b)
}

// extension skips an extension; it sets an error if the extension is critical.
func (r *reader) extension() {
	name := r.string()
	critical := r.byte() != 0
	r.string()
	r.end()
	if r.err == nil && critical {
		r.err = fmt.Errorf("the critical extension %.64q, which is not known", name)
	}
}
