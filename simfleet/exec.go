package simfleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"
)

// An Exec is what the oracle knows of one exec request.
type Exec struct {
	// ID counts exec requests from 1, in the order in which they came.
	ID uint64
	// Index and Host are the host's number and address.
	Index int
	Host  string
	// Conn is the connection's number, from 1 in the order of acceptance.
	Conn    uint64
	Command string
	// Received is when the request came.
	Received time.Time
	// Accepted says that the server said yes, and ran the command.
	Accepted bool
	// Stdout and Stderr are what the command wrote and the connection took.
	Stdout, Stderr Written
	// HasStatus says that an exit status was sent, and Status which.
	HasStatus bool
	Status    uint32
	// Signal is the exit signal that was sent; "" means none.
	Signal string
	// Ended is when all of this was known; zero before.
	Ended time.Time
}

// Written is a stream's size in bytes and its hash.
type Written struct {
	Size   int64
	SHA256 Digest
}

// WrittenOf gives what p is, written whole.
func WrittenOf(p []byte) Written {
	return Written{Size: int64(len(p)), SHA256: sha256.Sum256(p)}
}

// A Digest is a SHA-256 hash; its text is hexadecimal.
type Digest [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("decoding a SHA-256: %d characters, want %d", len(text), hex.EncodedLen(len(d)))
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("decoding a SHA-256: %w", err)
	}
	return nil
}

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// counted counts and hashes what w took. It is for one goroutine.
type counted struct {
	w    io.Writer
	size int64
	hash hash.Hash // nil until the first byte
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if n > 0 {
		if c.hash == nil {
			c.hash = sha256.New()
		}
		c.hash.Write(p[:n])
		c.size += int64(n)
	}
	return n, err
}

func (c *counted) written() Written {
	if c == nil || c.hash == nil {
		return WrittenOf(nil)
	}
	return Written{Size: c.size, SHA256: Digest(c.hash.Sum(nil))}
}

// An oracle keeps the log.
type oracle struct {
	tell func(Exec) // nil when nobody asks
	keep bool

	mu    sync.Mutex
	count uint64
	execs []Exec // by ID-1
}

// start notes an exec request before it is answered.
func (o *oracle) start(c *conn, command string, accepted bool) Exec {
	e := Exec{
		Index: c.host, Host: address(c.host).String(), Conn: c.number,
		Command: command, Received: time.Now(), Accepted: accepted,
	}
	o.mu.Lock()
	o.count++
	e.ID = o.count
	if o.keep {
		o.execs = append(o.execs, e)
	}
	o.mu.Unlock()
	if o.tell != nil {
		o.tell(e)
	}
	return e
}

// end notes how it ended.
func (o *oracle) end(e *Exec, stdout, stderr *counted) {
	e.Stdout, e.Stderr, e.Ended = stdout.written(), stderr.written(), time.Now()
	if o.keep {
		o.mu.Lock()
		o.execs[e.ID-1] = *e
		o.mu.Unlock()
	}
	if o.tell != nil {
		o.tell(*e)
	}
}

func (o *oracle) log() []Exec {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Exec(nil), o.execs...)
}

func (o *oracle) seen() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int(o.count) // counts up from 0
}
