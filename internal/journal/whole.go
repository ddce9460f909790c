package journal

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"math/bits"
)

// integrity detects missing and surplus rows of a run.
type integrity struct {
	info   *RunInfo
	input  hash.Hash
	sums   rowSum
	count  int
	events bitset // by seq
	last   int64
}

func newIntegrity(info *RunInfo) *integrity {
	w := &integrity{info: info, input: sha256.New()}
	if n := len(info.Sessions); n > 0 {
		w.last = info.Sessions[n-1].seq
	}
	return w
}

// target counts a row of selectTarget.
func (w *integrity) target(row []any) {
	w.count++
	addInput(w.input, &w.sums, row[1:len(row)-1])
}

// maxSeq bounds the memory for counting: one bit per intent or result.
const maxSeq = 1 << 31

// seq counts an intent or a result. An impossible or repeated number makes check fail.
func (w *integrity) seq(n int64) {
	if n > 0 && n <= min(w.last, maxSeq) && !w.events.has(int(n)) {
		w.events.add(int(n))
	} else {
		w.last = -1
	}
}

func (w *integrity) check() error {
	if len(w.info.Sessions) == 0 {
		return nil // incomplete run: the number of targets is unknown
	}
	if w.count != w.info.Targets || !bytes.Equal(w.input.Sum(nil), w.info.Input[:]) {
		return fmt.Errorf("%w: the targets are not those that the run began with", ErrDamaged)
	}
	seen := 0
	for _, word := range w.events {
		seen += bits.OnesCount64(word)
	}
	if int64(seen) != w.last {
		return fmt.Errorf("%w: intents or results are missing, or too many", ErrDamaged)
	}
	return nil
}
