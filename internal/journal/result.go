package journal

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
)

// A resultRow is a result ready to be written: its row without run, seq and checksum, and
// those of its outputs that are not known to be stored.
type resultRow struct {
	values   []any // from idx on; the writer sets the second, seq
	contents []content
	bytes    int // in memory, for the queue's bound
}

// refs are the hashes of a result's output; nil means no output.
type refs [fleet.NumStreams][]byte

// resultValues returns the row of a result without run and checksum.
func resultValues(r *fleet.Result, out refs) []any {
	var failure, started any
	if r.Err != nil {
		failure = r.Err.Error()
	}
	if !r.Started.IsZero() {
		started = r.Started.UnixNano()
	}
	return []any{
		int64(r.Target.Index), int64(0), int64(r.Attempt), r.Outcome.String(), string(r.Reason), r.Phase.String(),
		r.Flags.String(), int64(r.Status), r.Signal, failure, started, encodeTook(&r.Took),
		blob(out[fleet.Stdout]), r.Stdout.Size, blob(out[fleet.Stderr]), r.Stderr.Size,
	}
}

// blob returns untyped nil, which means NULL, for nil bytes.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

const (
	resultFields = `r.run, r.idx, r.seq, r.attempt, r.outcome, r.reason, r.phase, r.flags, r.status, r.signal,
		r.error, r.started, r.took, r.stdout, r.stdout_size, r.stderr, r.stderr_size, r.sum`
	selectResult  = `SELECT ` + resultFields + ` FROM results r WHERE r.run = ? ORDER BY r.idx, r.seq`
	resultColumns = 18
)

// decodeResult is the inverse of resultValues, for a row of selectResult. Of the target it
// sets only the index, of the output only the sizes.
func decodeResult(row []any) (r fleet.Result, seq int64, out refs, err error) {
	c := columns{row: row}
	_ = c.number(math.MaxInt64) // the run
	r.Target.Index = int(c.number(maxIndex))
	seq = c.number(math.MaxInt64)
	r.Attempt = int(c.number(math.MaxInt32))
	if r.Outcome, err = fleet.ParseOutcome(c.text()); err != nil {
		c.fail("%w", err)
	}
	r.Reason = fleet.Reason(c.text())
	if r.Phase, err = fleet.ParsePhase(c.text()); err != nil {
		c.fail("%w", err)
	}
	if r.Flags, err = decodeFlags(c.text()); err != nil {
		c.fail("%w", err)
	}
	r.Status = uint32(c.number(math.MaxUint32))
	r.Signal = c.text()
	if text := c.optional(); text != nil {
		r.Err = errors.New(*text)
	}
	r.Started = c.time()
	if r.Took, err = decodeTook(c.text()); err != nil {
		c.fail("%w", err)
	}
	for s, o := range []*fleet.Output{&r.Stdout, &r.Stderr} {
		out[s] = c.hash()
		o.Size = c.number(math.MaxInt64)
	}
	return r, seq, out, c.err
}

func decodeFlags(text string) (fleet.Flags, error) {
	var fs fleet.Flags
	if text == "" {
		return 0, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		f, err := fleet.ParseFlag(name)
		if err != nil {
			return 0, err
		}
		fs |= f
	}
	return fs, nil
}

// encodeTook writes JSON without encoding/json, because names of phases need no escapes.
func encodeTook(took *fleet.Durations) string {
	var room [256]byte
	b := append(room[:0], '{')
	for p, d := range took {
		if d == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, fleet.Phase(p).String()...)
		b = append(b, '"', ':')
		b = strconv.AppendInt(b, d.Nanoseconds(), 10)
	}
	return string(append(b, '}'))
}

func decodeTook(text string) (fleet.Durations, error) {
	var took fleet.Durations
	var byName map[string]int64
	if err := json.Unmarshal([]byte(text), &byName); err != nil {
		return took, err
	}
	for name, ns := range byName {
		p, err := fleet.ParsePhase(name)
		if err != nil {
			return took, err
		}
		took[p] = time.Duration(ns)
	}
	return took, nil
}

// prepare converts a result to its row. The caller of Result does this work, so that the
// writer does little but wait for the disk.
func (r *Run) prepare(res *fleet.Result) *resultRow {
	row := new(resultRow)
	var out refs
	short := *res
	for s, o := range []*fleet.Output{&short.Stdout, &short.Stderr} {
		bytes := o.Bytes
		if limit := r.j.opts.MaxOutput; len(bytes) > limit {
			bytes = bytes[:limit]
			short.Flags |= fleet.FlagOutputTruncated
		}
		if len(bytes) == 0 {
			continue
		}
		k := content{hash: sha256.Sum256(bytes), size: len(bytes)}
		out[s] = k.hash[:]
		if !r.known.has(k.hash) {
			r.j.codec.encode(&k, bytes)
			row.contents = append(row.contents, k)
			row.bytes += len(k.data)
		}
	}
	row.values = resultValues(&short, out)
	return row
}
