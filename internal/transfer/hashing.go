package transfer

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"runtime"
	"sync/atomic"
)

// A summer computes a SHA-256. sum is called once, also if the digest is not needed.
type summer interface {
	Write(p []byte) (int, error)
	sum() string
}

// newSummer returns the summer for a file of a size. A large file's computes on a goroutine of its own,
// while the client reads and decrypts what follows, if there are fewer of these than processors.
func (p *Push) newSummer(size int64) summer {
	if size < alongFrom {
		return inline{sha256.New()}
	}
	if p.hashing.Add(1) > int32(runtime.GOMAXPROCS(0)) { //nolint:gosec // small
		p.hashing.Add(-1)
		return inline{sha256.New()}
	}
	return startHashing(&p.hashing)
}

type inline struct{ hash.Hash }

func (h inline) sum() string { return fmt.Sprintf("%x", h.Sum(nil)) }

// hashingParts is how many parts wait to be hashed at most: beyond that Write waits.
const hashingParts = 4

// A hashing is a summer with a goroutine.
type hashing struct {
	parts chan []byte // sent by Write, closed by sum
	free  chan []byte // memory of parts, back to Write; has room for all
	made  int
	total chan string // the digest; capacity 1, for one sum
	count *atomic.Int32
}

func startHashing(count *atomic.Int32) *hashing {
	h := &hashing{parts: make(chan []byte, hashingParts), free: make(chan []byte, hashingParts), total: make(chan string, 1), count: count}
	go func() {
		hash := inline{sha256.New()}
		for p := range h.parts {
			_, _ = hash.Write(p) // a hash never fails
			h.free <- p
		}
		h.total <- hash.sum()
	}()
	return h
}

// Write implements io.Writer.
func (h *hashing) Write(p []byte) (int, error) {
	var b []byte
	if h.made < hashingParts {
		h.made++
	} else {
		b = <-h.free
	}
	h.parts <- append(b[:0], p...)
	return len(p), nil
}

func (h *hashing) sum() string {
	close(h.parts)
	defer h.count.Add(-1)
	return <-h.total
}
