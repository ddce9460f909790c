package expr

import (
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A token is a run of digits as one comparable number: the value in the low bits, the number of
// digits above it. So 1 and 01 are two tokens, and tokens sort as in ClusterShell:
// 1 2 01 02 10 001.
type token uint64

const widthShift = 56 // 10^maxDigits needs 54 bits

func newToken(text string) token {
	value, _ := strconv.ParseUint(text, 10, 64) // at most maxDigits digits: cannot fail
	return token(value | uint64(len(text))<<widthShift)
}

// padded returns the token of a number written with at least width digits.
func padded(value uint64, width int) token {
	return token(value | uint64(max(width, digits(value)))<<widthShift)
}

func (t token) value() uint64 { return uint64(t) & (1<<widthShift - 1) }
func (t token) width() int    { return int(t >> widthShift) }

func (t token) append(b []byte) []byte { return appendNumber(b, t.value(), t.width()) }

// A shape is a set of names with the same text around their digits: a row of
// tokens for each, one token for each run of digits. Names without digits are
// shapes of their own. A shape never changes once its set is made.
type shape struct {
	key      string
	literals []string // one more than a row has tokens
	rows     []token  // row after row, ascending, without duplicates
}

func (s *shape) dims() int { return len(s.literals) - 1 }

func (s *shape) len() int {
	if s.dims() == 0 {
		return 1
	}
	return len(s.rows) / s.dims()
}

func (s *shape) row(i int) []token { return s.rows[i*s.dims():][:s.dims()] }

func (s *shape) appendName(b []byte, row []token) []byte {
	b = append(b, s.literals[0]...)
	for dim, t := range row {
		b = append(t.append(b), s.literals[dim+1]...)
	}
	return b
}

func (s *shape) name(i int) string { return string(s.appendName(nil, s.row(i))) }

func (s *shape) each(yield func(string) bool) bool {
	var b []byte
	for i := range s.len() {
		b = s.appendName(b[:0], s.row(i))
		if !yield(string(b)) {
			return false
		}
	}
	return true
}

func (s *shape) search(row []token) (int, bool) {
	if s.dims() == 1 {
		return slices.BinarySearch(s.rows, row[0])
	}
	return sort.Find(s.len(), func(i int) int { return slices.Compare(row, s.row(i)) })
}

// with returns a shape with other rows, nil if there are none.
func (s *shape) with(rows []token) *shape {
	if len(rows) == 0 {
		return nil
	}
	return &shape{key: s.key, literals: s.literals, rows: rows}
}

// combine merges two shapes of one key. It returns nil if nothing is left.
func (s *shape) combine(other *shape, k keep) *shape {
	if s.dims() == 0 {
		if k.both {
			return s
		}
		return nil
	}
	return s.with(mergeRows(s.rows, other.rows, s.dims(), k))
}

// slice returns a shape with rows from to to (exclusive); from < to.
func (s *shape) slice(from, to int) *shape {
	if to-from == s.len() {
		return s
	}
	return s.with(s.rows[from*s.dims() : to*s.dims() : to*s.dims()])
}

// filter returns a shape with the rows for which keep returns true, nil if there are none.
func (s *shape) filter(keep func(row int) bool) *shape {
	if s.dims() == 0 {
		if keep(0) {
			return s
		}
		return nil
	}
	var rows []token
	for i := range s.len() {
		if keep(i) {
			rows = append(rows, s.row(i)...)
		}
	}
	return s.with(rows)
}

// mark stands for a run of digits in the key of a shape.
const mark = '\x00'

// analyse appends the key of the name's shape and its tokens. Digits between brackets (an IPv6
// address) and runs longer than maxDigits remain literal text. A name that contains the mark
// itself is entirely literal, with a key that no other name can have, because two runs are
// never adjacent.
func analyse(name string, key []byte, tokens []token) ([]byte, []token) {
	if strings.IndexByte(name, mark) >= 0 {
		return append(append(key, mark, mark), name...), tokens
	}
	for rest := name; rest != ""; {
		switch c := rest[0]; {
		case isDigit(c):
			var run string
			run, rest = cutDigits(rest)
			if len(run) > maxDigits {
				key = append(key, run...)
				continue
			}
			key = append(key, mark)
			tokens = append(tokens, newToken(run))
		case c == '[':
			end := strings.IndexByte(rest, ']') + 1
			if end == 0 {
				end = len(rest)
			}
			key = append(key, rest[:end]...)
			rest = rest[end:]
		default:
			key = append(key, c)
			rest = rest[1:]
		}
	}
	return key, tokens
}
