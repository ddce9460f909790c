package simfleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shoal/fleet"
)

// An Exec is what the oracle knows about one exec request.
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
	// Accepted means that the server accepted the request and ran the command.
	Accepted bool
	// Stdout and Stderr are what the command wrote and the connection took.
	Stdout, Stderr Written
	// Prefixes tell the beginnings of these streams from any other bytes, so
	// that output which was cut on its way can be compared.
	Prefixes [fleet.NumStreams]Prefix
	// HasStatus says that an exit status was sent, and Status which.
	HasStatus bool
	Status    uint32
	// Signal is the exit signal that was sent; "" means none.
	Signal string
	// Ended is when all of this was known; zero before.
	Ended time.Time
	// Shells has the texts that shells were started with by the command (sh -c), in
	// the order of their starts; also by what the command left behind, after its end.
	Shells []Shell
}

// A Shell is one start of sh -c.
type Shell struct {
	Command string
	Args    []string // $1 and so on
	Ended   bool     // the text came to its end; a killed shell's does not
	Status  int
}

// Bounds of what is kept of shells, for each exec.
const (
	maxShells    = 16
	maxShellText = 256 << 10
)

// Written is a stream's size in bytes and its hash.
type Written struct {
	Size   int64
	SHA256 Digest
}

// WrittenOf returns what p is, written whole.
func WrittenOf(p []byte) Written {
	return Written{Size: int64(len(p)), SHA256: sha256.Sum256(p)}
}

// PrefixSize is how many bytes of a stream a Prefix keeps, and how many bytes
// each of its digests goes on from the one before.
const PrefixSize = 1 << 20

// prefixBudget bounds the bytes that all execs of a fleet keep together. What
// begins after it is spent has digests alone.
const prefixBudget = 64 << 20

// A Prefix is kept of a stream, to compare with any beginning of it.
type Prefix struct {
	// Head has the first bytes, PrefixSize at most; fewer where a fleet has kept
	// too many already.
	Head []byte
	// Digests are the hashes of the first 1, 2, 3… times PrefixSize bytes, as
	// far as the stream goes.
	Digests []Digest
}

// PrefixOf returns the prefix of what p is, written whole.
func PrefixOf(p []byte) Prefix {
	c := counted{w: io.Discard, room: new(atomic.Int64)}
	c.room.Store(PrefixSize)
	_, _ = c.Write(p) // io.Discard takes all
	return c.prefix
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

// counted counts and hashes what w took, and keeps its prefix. It is for one
// goroutine, unless terminal is set.
type counted struct {
	terminal bool // write LF as CR LF
	writing  sync.Mutex

	w      io.Writer
	size   int64
	hash   hash.Hash     // nil until the first byte
	room   *atomic.Int64 // bytes that may be kept, of all streams together; nil keeps none
	prefix Prefix
}

func (c *counted) Write(p []byte) (int, error) {
	if c.terminal {
		c.writing.Lock()
		defer c.writing.Unlock()
		lines := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
		n, err := c.w.Write(lines)
		if n > 0 {
			c.took(lines[:n])
		}
		return min(n, len(p)), err
	}
	n, err := c.w.Write(p)
	if n > 0 {
		c.took(p[:n])
	}
	return n, err
}

func (c *counted) took(p []byte) {
	if c.hash == nil {
		c.hash = sha256.New()
	}
	if c.room != nil {
		c.keep(p)
	}
	for len(p) > 0 {
		piece := p[:min(int64(len(p)), PrefixSize-c.size%PrefixSize)]
		c.hash.Write(piece)
		c.size += int64(len(piece))
		if c.room != nil && c.size%PrefixSize == 0 {
			c.prefix.Digests = append(c.prefix.Digests, Digest(c.hash.Sum(nil)))
		}
		p = p[len(piece):]
	}
}

// keep appends to the head, which never has a gap.
func (c *counted) keep(p []byte) {
	if int64(len(c.prefix.Head)) != c.size {
		return
	}
	p = p[:min(len(p), PrefixSize-len(c.prefix.Head))]
	if left := c.room.Add(-int64(len(p))); left < 0 {
		c.room.Add(int64(len(p)))
		return
	}
	c.prefix.Head = append(c.prefix.Head, p...)
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
	room atomic.Int64 // bytes of output that may still be kept

	mu    sync.Mutex
	count uint64
	execs []Exec // by ID-1
}

// shells collects those of one exec, also after its end.
type shells struct {
	oracle *oracle

	mu   sync.Mutex // held while the log is told, so that the last line is the newest
	list []Shell
	exec *Exec // nil before the exec has ended
}

// began notes a start; what it returns notes the end.
func (s *shells) began(command string, args []string) func(int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := len(s.list), len(command)
	for _, arg := range args {
		size += len(arg)
	}
	if n == maxShells || size > maxShellText || !s.oracle.keep && s.oracle.tell == nil {
		return nil
	}
	s.list = append(s.list, Shell{Command: command, Args: slices.Clone(args)})
	s.changed()
	return func(status int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list[n].Ended, s.list[n].Status = true, status
		s.changed()
	}
}

// changed tells the log of an exec that has ended; mu must be held.
func (s *shells) changed() {
	if s.exec == nil {
		return
	}
	e := *s.exec
	e.Shells = slices.Clone(s.list)
	if s.oracle.keep {
		s.oracle.mu.Lock()
		s.oracle.execs[e.ID-1] = e
		s.oracle.mu.Unlock()
	}
	if s.oracle.tell != nil {
		s.oracle.tell(e)
	}
}

// streams returns the two of a session.
func (o *oracle) streams(stdout, stderr io.Writer) (_, _ *counted) {
	var room *atomic.Int64
	if o.keep || o.tell != nil {
		room = &o.room
	}
	return &counted{w: stdout, room: room}, &counted{w: stderr, room: room}
}

// start notes an exec request before it is answered.
func (o *oracle) start(c *conn, command string, accepted bool) Exec {
	e := Exec{
		Index: c.host, Host: c.fleet.name(c.host), Conn: c.number,
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
func (o *oracle) end(e *Exec, stdout, stderr *counted, inner *shells) {
	e.Stdout, e.Stderr, e.Ended = stdout.written(), stderr.written(), time.Now()
	for i, c := range []*counted{fleet.Stdout: stdout, fleet.Stderr: stderr} {
		if c != nil {
			e.Prefixes[i] = c.prefix
		}
	}
	if inner == nil {
		inner = &shells{oracle: o}
	}
	inner.mu.Lock()
	defer inner.mu.Unlock()
	inner.exec = e
	inner.changed()
}

func (o *oracle) log() []Exec {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.execs)
}

func (o *oracle) seen() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int(o.count) // counts up from 0
}
