package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// Limits of standard inputs, in bytes. Scripts and long commands go through standard input too.
const (
	maxInput  = 16 << 20 // of one host
	maxInputs = 64 << 20 // of the different ones of a shard

	// shortInput is the size up to which the input is in the shard itself.
	shortInput = 1 << 10
)

// An Input is the standard input of a host: its bytes, or what they are among those that the run has
// stored for the pool.
type Input struct {
	Bytes  []byte `json:"bytes,omitempty"`
	Digest string `json:"digest,omitempty"` // SHA-256 in hexadecimal
	Size   int    `json:"size"`
}

func (i *Input) validate() error {
	if i.Size < 1 || i.Size > maxInput || i.Digest == "" && len(i.Bytes) != i.Size || i.Digest != "" && (!isDigest(i.Digest) || len(i.Bytes) > 0) {
		return fmt.Errorf("a shard with a standard input of %d bytes that are %d, %.80q", i.Size, len(i.Bytes), i.Digest)
	}
	return nil
}

func isDigest(text string) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && len(sum) == sha256.Size && hex.EncodeToString(sum) == text
}

// inputs are those that a coordinator has stored. Most hosts have the same.
type inputs struct {
	stored once[struct{}] // by subject

	mu     sync.Mutex // of what is read from files of this machine, and of no answer of NATS
	buffer []byte
	last   []byte // the one before, whose digest this is; its bytes do not change
	digest string
}

// read returns the input of a host, and its digest if it is no short one.
func (in *inputs) read(h *host, size int) (data []byte, sum string, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if cap(in.buffer) < size {
		in.buffer = make([]byte, size)
	}
	data = in.buffer[:size]
	if _, err := io.ReadFull(io.NewSectionReader(h.attempt.Input, 0, int64(size)), data); err != nil {
		return nil, "", fmt.Errorf("reading its standard input: %w", err)
	}
	if size <= shortInput {
		return bytes.Clone(data), "", nil
	}
	if !bytes.Equal(data, in.last) {
		in.last, in.digest, in.buffer = data, digest(data), nil
	}
	return in.last, in.digest, nil
}

// input returns the input of a host, and stores it where its pool does not have it.
func (c *Coordinator) input(ctx context.Context, h *host) (*Input, error) {
	size := int(h.attempt.InputSize())
	if size == 0 {
		return nil, nil
	}
	data, sum, err := c.inputs.read(h, size)
	if err != nil {
		return nil, err
	}
	if sum == "" {
		return &Input{Bytes: data, Size: size}, nil
	}
	subject := dataSubject(h.pool, c.run, sum)
	_, err = c.inputs.stored.do(ctx, subject, func() (done struct{}, err error) {
		for at := 0; at < size; at += maxRecord {
			if err := c.conn.store(ctx, runStream(c.run), subject, blobMessage(at, data[at:min(size, at+maxRecord)])); err != nil {
				return done, fmt.Errorf("storing its standard input: %w", err)
			}
		}
		return done, nil
	})
	if err != nil {
		return nil, err
	}
	return &Input{Digest: sum, Size: size}, nil
}

// errNoRun means that a run has no stream, or none any more.
var errNoRun = errors.New("the log of the run is gone")

// store has a message stored, perhaps more than once. It tries until ctx ends or the connection's
// patience.
func (c *Conn) store(ctx context.Context, stream, subject string, message []byte) error {
	for began := time.Now(); ; {
		try, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err := c.js.PublishMsg(try, &nats.Msg{Subject: subject, Data: message}, jetstream.WithExpectStream(stream), jetstream.WithRetryAttempts(0))
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrNoStreamResponse) && c.isGone(ctx, stream, subject):
			return errNoRun
		case time.Since(began) > c.patience:
			return err
		}
		if time.Since(began) > stuckAfter {
			c.tellStuck(err)
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// isGone reports whether a run has no stream any more. That nobody answers to one of its subjects is no proof: the servers
// of a cluster may be about to agree on a leader.
func (c *Conn) isGone(ctx context.Context, stream, subject string) bool {
	parts := strings.SplitN(subject, ".", 4) // its second and third part are the pool and the run
	err := c.messages(ctx, stream, originSubject(parts[1], parts[2]), 1, func(uint64, string, []byte) error { return nil })
	return errors.Is(err, jetstream.ErrStreamNotFound)
}

// fetch reads what was stored under a digest.
func (c *Conn) fetch(ctx context.Context, pool, run string, in *Input) ([]byte, error) {
	data, have := make([]byte, in.Size), 0
	err := c.messages(ctx, runStream(run), dataSubject(pool, run, in.Digest), 1, func(_ uint64, _ string, message []byte) error {
		at, part, ok := parseBlob(message)
		if !ok || at > len(data) || len(part) > len(data)-at {
			return fmt.Errorf("a part of the standard input %s does not fit", in.Digest)
		}
		have = max(have, at+copy(data[at:], part))
		return nil
	})
	if err == nil && (have < len(data) || digest(data) != in.Digest) {
		err = fmt.Errorf("the standard input %s is missing or another", in.Digest)
	}
	return data, err
}

// kept is an input of shards that a worker has.
type kept struct {
	data   []byte
	shards int
}

// keepInputs fetches the inputs of a shard, which release lets go.
func (w *Worker) keepInputs(ctx context.Context, shard *Shard) (_ map[string][]byte, release func(), err error) {
	have, held := make(map[string][]byte), make(map[string]*kept)
	release = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for key, k := range held {
			if k.shards--; k.shards == 0 {
				delete(w.inputs, key)
			}
		}
	}
	for i := range shard.Hosts {
		in := shard.Hosts[i].Input
		if in == nil || in.Digest == "" || have[in.Digest] != nil {
			continue
		}
		key := shard.Pool + "." + shard.Run + "." + in.Digest
		k := w.keptInput(key, nil)
		if k == nil {
			data, err := w.conn.fetch(ctx, shard.Pool, shard.Run, in)
			if err != nil {
				release()
				return nil, nil, err
			}
			k = w.keptInput(key, data)
		}
		have[in.Digest], held[key] = k.data, k
	}
	return have, release, nil
}

// keptInput returns an input that the worker has, for one shard more. data, if not nil, is what it is if another shard
// has not brought it meanwhile.
func (w *Worker) keptInput(key string, data []byte) *kept {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.inputs[key]
	switch {
	case k == nil && data == nil:
		return nil
	case k == nil:
		k = &kept{data: data}
		w.inputs[key] = k
	}
	k.shards++
	return k
}

// An askedDialer has commands sent as the shard has them: they were wrapped where the run began.
type askedDialer struct {
	ssh.Dialer
	session *session
}

// Dial implements ssh.Dialer.
func (d askedDialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	from := d.session.find(a.Target.Index, false)
	h := &from.shard.shard.Hosts[from.host]
	given := *a
	given.Line, given.PTY, given.Limit, given.At, given.Anew = a.Target.Command, h.PTY, h.Limit, h.At, h.Anew
	if in := h.Input; in != nil {
		data := in.Bytes
		if in.Digest != "" {
			data = from.shard.inputs[in.Digest]
		}
		given.Input = bytes.NewReader(data)
	}
	if d.session.options.Stream > 0 {
		from.shard.streamed(&given, from.host)
	}
	if h.Become == nil {
		return d.Dialer.Dial(ctx, &given)
	}
	through, err := d.session.becomers.dialer(d.session.worker, *h.Become, d.Dialer)
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordNeeded, fmt.Errorf("%w: %w", errBecome, err))
	}
	if !h.Wrapped {
		given.Line = ""
	}
	return through.Dial(ctx, &given)
}
