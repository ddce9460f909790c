package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrDamaged means that a row was changed, is missing, or belongs to another run. No
// decision is based on such a run.
var ErrDamaged = errors.New("the journal does not match its checksums")

const sumSize = 16 // the bytes of SHA-256 that are kept of each row

// A runSum is a prefix of the checksum of each row of a run, so that a row of another run,
// or of the same run with other targets, does not match.
type runSum [sha256.Size]byte

func sumRun(run string, input []byte) runSum {
	return sha256.Sum256(appendValues([]byte("shoal journal 1"), []any{run, input}))
}

// A rowSum computes checksums. It is not safe for concurrent use.
type rowSum struct{ buf []byte }

// sum returns the checksum of a row from its values as SQLite returns them.
func (s *rowSum) sum(b runSum, table string, values []any) []byte {
	s.buf = append(s.buf[:0], b[:]...)
	s.buf = appendValues(s.buf, []any{table})
	s.buf = appendValues(s.buf, values)
	sum := sha256.Sum256(s.buf)
	return sum[:sumSize]
}

// check returns an error if a row does not match its checksum, which is its last value.
func (s *rowSum) check(b runSum, table string, row []any) error {
	last := len(row) - 1
	sum, ok := row[last].([]byte)
	if !ok || !bytes.Equal(sum, s.sum(b, table, row[:last])) {
		return fmt.Errorf("%w: a row of table %s, %v", ErrDamaged, table, place(row))
	}
	return nil
}

// place returns the first two values of a row, which identify it for people.
func place(row []any) []any { return row[:min(2, len(row))] }

// appendValues appends the values in an injective encoding: different lists give different
// bytes.
func appendValues(b []byte, values []any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = append(b, 'i')
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		case string:
			b = append(b, 't')
			b = binary.BigEndian.AppendUint64(b, uint64(len(v)))
			b = append(b, v...)
		case []byte:
			b = append(b, 'b')
			b = binary.BigEndian.AppendUint64(b, uint64(len(v)))
			b = append(b, v...)
		default: // a type that no column has: not a row of ours
			b = fmt.Appendf(append(b, '?'), "%T", v)
		}
	}
	return b
}
