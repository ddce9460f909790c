package cluster

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/klauspost/compress/zstd"

	"shoal/fleet"
	"shoal/record"
)

// A Kind is what a record of a shard's log says.
type Kind string

// The kinds of records.
const (
	KindOpen  Kind = "open"  // the coordinator: the shard, signed
	KindTake  Kind = "take"  // a worker: it runs the shard from here on
	KindWork  Kind = "work"  // the same: intents and results, in this order
	KindClose Kind = "close" // the coordinator: nothing of the shard is started any more
	KindLate  Kind = "late"  // in no log, but in late.…: results of a worker that was replaced
)

// A Record is one message of a shard's log.
type Record struct {
	Kind Kind `json:"kind"`
	// Epoch counts the takes and closes; 0 in open.
	Epoch int `json:"epoch"`
	// Worker wrote it; "" means the coordinator.
	Worker string `json:"worker,omitempty"`
	// Process is the worker's, in take: see Beat.
	Process string `json:"process,omitempty"`
	// Nonce is random: by it a writer that got no answer recognises its own record.
	Nonce string `json:"nonce"`
	// Prev is the digest of the record before, in hexadecimal; "" in open.
	Prev string `json:"prev,omitempty"`
	// More means that Body continues in the next record, which is of the same kind.
	More bool `json:"more,omitempty"`
	// Body is a signed shard in open, a Work in work and late, else empty.
	Body []byte `json:"-"`

	work *Work // what the bodies up to this one were made from, where this process has made them
}

// Limits of what is read from a stream, in bytes.
const (
	maxRecord = 512 << 10 // of a body in one record

	maxMessage = maxRecord + 64<<10 // of a record
	maxBody    = 64 << 20           // of a body in all its records, and unpacked
	maxHead    = 8 << 20            // of the head of a Work, which takes much more memory once it is read
	packAbove  = 64 << 10           // larger bodies are compressed
)

func newNonce() string { return rand.Text() }

// Encode returns the record as a message.
func (r *Record) Encode() []byte {
	head, _ := json.Marshal(r) // strings, numbers and booleans: it does not fail
	return append(append(head, '\n'), r.Body...)
}

// DecodeRecord is the inverse of Encode.
func DecodeRecord(message []byte) (*Record, error) {
	head, body, ok := bytes.Cut(message, []byte("\n"))
	if !ok {
		return nil, errors.New("a record without a head")
	}
	r := new(Record)
	if err := json.Unmarshal(head, r); err != nil {
		return nil, fmt.Errorf("the head of a record: %w", err)
	}
	if len(body) > maxRecord {
		return nil, fmt.Errorf("a record of %d bytes", len(body))
	}
	r.Body = body
	return r, nil
}

// digest returns what Prev of the record after this message is.
func digest(message []byte) string {
	sum := sha256.Sum256(message)
	return hex.EncodeToString(sum[:])
}

// A Work is what a worker has done since its last record.
type Work struct {
	// Intents are the positions in the shard of hosts whose commands are about to be sent.
	Intents []int
	// Dialled are the addresses at which hosts of Intents that have a name were dialled.
	Dialled map[int]netip.AddrPort
	// Parts are output of hosts that are intended, in its order; see Options.Stream.
	Parts   []Part
	Results []Result
	// Done means that the worker starts nothing more of the shard, and waits for nothing.
	Done bool
}

// A Part is what a command has written, and continues the parts before it.
type Part struct {
	Host   int // position in the shard
	Stream fleet.Stream
	Bytes  []byte
}

// A Result is how a host of a shard ended.
type Result struct {
	Host   int           // position in the shard
	Result *fleet.Result // without its Target
}

type workHead struct {
	Intents []int                  `json:"intents,omitempty"`
	Dialled map[int]netip.AddrPort `json:"dialled,omitempty"`
	Parts   []partHead             `json:"parts,omitempty"`
	Results []resultHead           `json:"results,omitempty"`
	Done    bool                   `json:"done,omitempty"`
}

type partHead struct {
	Host   int          `json:"host"`
	Stream fleet.Stream `json:"stream"`
	Size   int          `json:"size"` // bytes that follow the head, before those of the results
}

type resultHead struct {
	Host   int             `json:"host"`
	End    json.RawMessage `json:"end"` // record.AppendEnd
	Stdout int             `json:"stdout,omitempty"`
	Stderr int             `json:"stderr,omitempty"` // bytes that follow the head
}

// A packer compresses bodies. It is safe for concurrent use.
type packer struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newPacker() *packer {
	// Only options that contradict each other are an error.
	encoder, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	decoder, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody))
	return &packer{encoder, decoder}
}

func (p *packer) close() {
	_ = p.encoder.Close() // it has no writer
	p.decoder.Close()
}

// encode returns the bodies of the records that carry the work, one at least.
func (p *packer) encode(w *Work) [][]byte {
	head := workHead{Intents: w.Intents, Dialled: w.Dialled, Done: w.Done, Results: make([]resultHead, len(w.Results))}
	var output []byte
	for _, part := range w.Parts {
		head.Parts = append(head.Parts, partHead{part.Host, part.Stream, len(part.Bytes)})
		output = append(output, part.Bytes...)
	}
	for i, r := range w.Results {
		head.Results[i] = resultHead{r.Host, record.AppendEnd(nil, r.Result), len(r.Result.Stdout.Bytes), len(r.Result.Stderr.Bytes)}
		output = append(append(output, r.Result.Stdout.Bytes...), r.Result.Stderr.Bytes...)
	}
	text, _ := json.Marshal(head) // record.AppendEnd gives valid JSON
	body := append(append(text, '\n'), output...)
	if len(body) > packAbove {
		body = p.encoder.EncodeAll(body, nil)
	}
	return slices.Collect(slices.Chunk(body, maxRecord))
}

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// decode is the inverse of encode, for the joined bodies.
func (p *packer) decode(body []byte) (*Work, error) {
	if bytes.HasPrefix(body, zstdMagic) {
		var err error
		if body, err = p.decoder.DecodeAll(body, nil); err != nil {
			return nil, fmt.Errorf("unpacking a record: %w", err)
		}
	}
	text, output, ok := bytes.Cut(body, []byte("\n"))
	if !ok || len(text) > maxHead {
		return nil, errors.New("a record of work without a head, or with one that is too long")
	}
	var head workHead
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("a record of work: %w", err)
	}
	w := &Work{Intents: head.Intents, Dialled: head.Dialled, Done: head.Done}
	for _, h := range head.Parts {
		part := Part{Host: h.Host, Stream: h.Stream}
		if h.Stream >= fleet.NumStreams {
			return nil, fmt.Errorf("output of stream %d", h.Stream)
		}
		if h.Size < 1 {
			return nil, errors.New("output of no bytes")
		}
		var err error
		if part.Bytes, output, err = cut(output, h.Size); err != nil {
			return nil, err
		}
		w.Parts = append(w.Parts, part)
	}
	for _, h := range head.Results {
		res, err := record.DecodeEnd(h.End)
		if err != nil {
			return nil, err
		}
		if res.Outcome == fleet.OutcomeNone {
			return nil, errors.New("a result without an outcome")
		}
		if res.Stdout.Bytes, output, err = cut(output, h.Stdout); err != nil {
			return nil, err
		}
		if res.Stderr.Bytes, output, err = cut(output, h.Stderr); err != nil {
			return nil, err
		}
		w.Results = append(w.Results, Result{h.Host, res})
	}
	if len(output) > 0 {
		return nil, errors.New("a record of work with bytes that belong to no host")
	}
	return w, nil
}

func cut(output []byte, size int) (head, rest []byte, err error) {
	if size < 0 || size > len(output) {
		return nil, nil, errors.New("a record of work with less output than it says")
	}
	if size == 0 {
		return nil, output, nil
	}
	return output[:size:size], output[size:], nil
}
