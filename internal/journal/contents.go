package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxContent bounds the size in bytes of a content that is read. Output is cut at MaxOutput,
// and commands are arguments of a program.
const maxContent = 512 << 20

// compressAbove is the size in bytes above which contents are compressed.
const compressAbove = 2 << 10

// A content is a byte string that is stored once, under its SHA-256 hash.
type content struct {
	hash   [sha256.Size]byte
	size   int64
	coding string // raw or zstd
	data   []byte
}

// A run that writes bytes again that an earlier one wrote becomes their last user.
const insertContent = `INSERT INTO contents (hash, size, coding, data, used) VALUES (?, ?, ?, ?, ?)
	ON CONFLICT (hash) DO UPDATE SET used = excluded.used WHERE used IS NOT excluded.used`

// store writes the content for the run with number n.
func (k *content) store(ctx context.Context, insert *sql.Stmt, n int64) error {
	_, err := insert.ExecContext(ctx, k.hash[:], k.size, k.coding, k.data, n)
	return err
}

// compression encodes and decodes contents. It is safe for concurrent use.
type compression struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newCompression() *compression {
	// Only options that contradict each other are an error.
	encoder, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	decoder, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxContent), zstd.WithDecodeAllCapLimit(true))
	return &compression{encoder, decoder}
}

func (c *compression) close() {
	_ = c.encoder.Close() // it has no writer
	c.decoder.Close()
}

// encode returns the content with these bytes and this hash. It does not copy the bytes
// unless it compresses them.
func (c *compression) encode(hash [sha256.Size]byte, plain []byte) content {
	k := content{hash, int64(len(plain)), "raw", plain}
	if len(plain) > compressAbove {
		if packed := c.encoder.EncodeAll(plain, nil); len(packed) < len(plain) {
			k.coding, k.data = "zstd", packed
		}
	}
	return k
}

// decode returns the plain bytes, or an error if they do not match the hash.
func (c *compression) decode(k content) ([]byte, error) {
	if k.size < 0 || k.size > maxContent {
		return nil, fmt.Errorf("%w: a content of %d bytes", ErrDamaged, k.size)
	}
	plain := k.data
	switch k.coding {
	case "raw":
	case "zstd":
		var err error
		if plain, err = c.decoder.DecodeAll(k.data, make([]byte, 0, k.size)); err != nil {
			return nil, fmt.Errorf("%w: content %x: %w", ErrDamaged, k.hash[:4], err)
		}
	default:
		return nil, fmt.Errorf("%w: content %x has the unknown coding %.20q", ErrDamaged, k.hash[:4], k.coding)
	}
	if int64(len(plain)) != k.size || sha256.Sum256(plain) != k.hash {
		return nil, fmt.Errorf("%w: content %x is not what its hash says", ErrDamaged, k.hash[:4])
	}
	return plain, nil
}

// maxStored bounds the hashes that a run remembers: 32 bytes each plus the map's overhead.
const maxStored = 1 << 15

// stored is the set of contents that this run has committed together with a row that
// refers to them. Prune spares running runs and their contents, so that these need not be
// compressed and written again. It is safe for concurrent use.
type stored struct {
	mu     sync.Mutex
	hashes map[[sha256.Size]byte]struct{}
}

func (s *stored) has(hash [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.hashes[hash]
	return ok
}

// forget empties the set.
func (s *stored) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.hashes)
}

func (s *stored) add(contents []content) {
	if len(contents) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hashes == nil || len(s.hashes) >= maxStored {
		s.hashes = make(map[[sha256.Size]byte]struct{})
	}
	for i := range contents {
		s.hashes[contents[i].hash] = struct{}{}
	}
}
