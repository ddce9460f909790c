package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"
)

// maxContent is the largest text or output that is kept, in bytes; SQLite takes
// a thousand million at most.
const maxContent = 512 << 20

const (
	codingRaw  = "raw"
	codingZstd = "zstd"
)

// A content is bytes that are kept once, under their hash.
type content struct {
	hash   [sha256.Size]byte
	size   int
	coding string // "" when they are known to be there
	data   []byte
}

// A codec turns bytes into contents and back. It is safe for concurrent use.
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

// encode fills in coding and data. The bytes are not copied unless compressed.
func (c *codec) encode(k *content, plain []byte) {
	k.coding, k.data = codingRaw, plain
	if len(plain) <= c.above {
		return
	}
	if packed := c.encoder.EncodeAll(plain, nil); len(packed) < len(plain) {
		k.coding, k.data = codingZstd, packed
	}
}

// decode gives the bytes back, and an error unless they are those of the hash.
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

// unpack makes room for the size that is expected and for no more, and not even
// that when the frame states another; it states none below 256 (RFC 8878 section
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
