package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"
)

// maxContent is the size in bytes of the largest text or output that the journal
// keeps. SQLite's own limit is 1,000,000,000 bytes.
const maxContent = 512 << 20

const (
	codingRaw  = "raw"
	codingZstd = "zstd"
)

// A content is a byte string that is stored once, under its hash.
type content struct {
	hash   [sha256.Size]byte
	size   int
	coding string // "" if the bytes are known to be stored
	data   []byte
}

// A codec compresses and decompresses contents. It is safe for concurrent use.
type codec struct {
	above   int
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newCodec(o Options) (*codec, error) {
	above := o.CompressAbove
	if above < 0 {
		above = math.MaxInt
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxContent),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	return &codec{above, encoder, decoder}, nil
}

func (c *codec) close() {
	_ = c.encoder.Close() // it has no writer
	c.decoder.Close()
}

// encode sets coding and data. It does not copy the bytes unless it compresses them.
func (c *codec) encode(k *content, plain []byte) {
	k.coding, k.data = codingRaw, plain
	if len(plain) <= c.above {
		return
	}
	if packed := c.encoder.EncodeAll(plain, nil); len(packed) < len(plain) {
		k.coding, k.data = codingZstd, packed
	}
}

// decode returns the plain bytes, or an error if they do not match the hash.
func (c *codec) decode(k content) ([]byte, error) {
	if k.size < 0 || k.size > maxContent {
		return nil, fmt.Errorf("%w: a content of %d bytes", ErrDamaged, k.size)
	}
	plain := k.data
	switch k.coding {
	case codingRaw:
	case codingZstd:
		var err error
		if plain, err = c.unpack(k); err != nil {
			return nil, fmt.Errorf("%w: content %x: %w", ErrDamaged, k.hash[:4], err)
		}
	default:
		return nil, fmt.Errorf("%w: content %x has the unknown coding %.20q", ErrDamaged, k.hash[:4], k.coding)
	}
	if len(plain) != k.size || sha256.Sum256(plain) != k.hash {
		return nil, fmt.Errorf("%w: content %x is not what its hash says", ErrDamaged, k.hash[:4])
	}
	return plain, nil
}

// unpack allocates the expected size and no more. It allocates nothing if the frame
// states another size; frames below 256 bytes state none (RFC 8878 section
// 3.1.1.1.1).
func (c *codec) unpack(k content) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(k.data); err != nil {
		return nil, err
	}
	if h.HasFCS && h.FrameContentSize != uint64(k.size) || !h.HasFCS && k.size >= 256 {
		return nil, errors.New("the frame states another size")
	}
	return c.decoder.DecodeAll(k.data, make([]byte, 0, k.size))
}
