package persist

import (
	"encoding/binary"
	"errors"
	"time"
)

// A frame is its length without these 4 bytes, its kind, the number that it is about (an attempt,
// a connection, a question), and a body of fields without names, in the order of its kind.
const (
	headSize = 4 + 1 + 4
	// maxFrame bounds what follows the length, in bytes: a command with its environment.
	maxFrame = 1 << 20
	// chunk bounds the bytes of one frame of output or input.
	chunk = 32 << 10
)

// A kind is that of a frame. The run sends those before kindWelcome.
type kind uint8

const (
	kindHello    kind = iota + 1 // magic, version, purpose, ...; see hello
	kindSettings                 // JSON of ssh.Settings, to be named by this number
	kindOpen                     // an attempt: dial, or take a held connection
	kindStart                    // start it; intended
	kindNext                     // an attempt on the connection of another one
	kindCancel                   // its context has ended
	kindClose                    // of a connection, named by its first attempt
	kindInput                    // bytes of standard input
	kindInputEnd                 // "" or why it cannot be read
	kindCredit                   // so many bytes of output were taken
	kindAnswer                   // to a question, by its number
	kindPing
	kindDrain // nothing more is to be started for this attempt

	kindWelcome  kind = iota + 32 // version, or JSON of Status
	kindOpened                    // the attempt has a connection
	kindFailed                    // it has none; an end
	kindPhase                     // a phase has begun
	kindTell                      // a line of -v
	kindOutput                    // bytes of a stream
	kindEnd                       // the command's end
	kindWant                      // more bytes of input may be sent
	kindAsk                       // a question about an attempt
	kindReleased                  // a host key was not used after all
	kindPong
)

var errMalformed = errors.New("a malformed frame")

// An enc appends fields.
type enc struct{ b []byte }

func (e *enc) uint(v uint64)       { e.b = binary.AppendUvarint(e.b, v) }
func (e *enc) int(v int64)         { e.b = binary.AppendVarint(e.b, v) }
func (e *enc) dur(d time.Duration) { e.int(int64(d)) }
func (e *enc) str(s string)        { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *enc) bytes(p []byte)      { e.uint(uint64(len(p))); e.b = append(e.b, p...) }

func (e *enc) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *enc) strs(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.str(s)
	}
}

// A dec reads fields. After the first that is malformed all are zero.
type dec struct {
	b   []byte
	bad bool
}

func (d *dec) fail() { d.b, d.bad = nil, true }

func (d *dec) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *dec) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *dec) dur() time.Duration { return time.Duration(d.int()) }

// bytes returns a part of the frame.
func (d *dec) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *dec) str() string { return string(d.bytes()) }

func (d *dec) bool() bool {
	if len(d.b) == 0 || d.b[0] > 1 {
		d.fail()
		return false
	}
	v := d.b[0] == 1
	d.b = d.b[1:]
	return v
}

func (d *dec) strs() []string {
	n := d.uint()
	if n > uint64(len(d.b)) { // each has a byte at least
		d.fail()
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.str())
	}
	return list
}

// done reports whether all fields were there, and nothing else.
func (d *dec) done() error {
	if d.bad || len(d.b) > 0 {
		return errMalformed
	}
	return nil
}
