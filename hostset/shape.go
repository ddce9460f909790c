package hostset

import (
	"slices"
	"strconv"
	"strings"
)

// A token is a run of digits as one comparable number: the value, and above it
// the width where the digits begin with a zero that is padding. Tokens without
// padding sort before padded ones, and by value among themselves.
type token uint64

const widthShift = 56 // 10^maxDigits needs 54 bits

func newToken(text string) token {
	value, _ := strconv.ParseUint(text, 10, 64) // at most maxDigits digits: cannot fail
	if len(text) > 1 && text[0] == '0' {
		return token(value | uint64(len(text))<<widthShift)
	}
	return token(value)
}

func (t token) value() uint64 { return uint64(t) & (1<<widthShift - 1) }
func (t token) width() int    { return int(t >> widthShift) }

// A shape is what names with the same text around their digits have in common,
// and their tokens: as many per name as there are runs of digits.
type shape struct {
	literals []string // one more than there are runs
	tokens   []token  // name after name
}

func (s *shape) dims() int { return len(s.literals) - 1 }

// mark stands for a run of digits in the key of a shape.
const mark = '\x00'

// group sorts names into shapes.
func group(names []string) map[string]*shape {
	shapes := make(map[string]*shape)
	var key []byte
	var tokens []token
	for _, name := range names {
		if name == "" {
			continue
		}
		key, tokens = analyse(name, key[:0], tokens[:0])
		s := shapes[string(key)]
		if s == nil {
			s = &shape{literals: []string{name}}
			if len(tokens) > 0 {
				s.literals = strings.Split(string(key), string(mark))
			}
			shapes[string(key)] = s
		}
		s.tokens = append(s.tokens, tokens...)
	}
	return shapes
}

// analyse appends the key of the name's shape and its tokens. Digits between
// brackets (an IPv6 address) and runs beyond maxDigits stay literal text. A name
// that holds the mark itself is all literal, under a key that no other has: two
// runs never touch.
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

// grid gives the names as sorted rows without duplicates.
func (s *shape) grid() grid {
	dims := s.dims()
	if dims == 1 {
		slices.Sort(s.tokens)
		s.tokens = slices.Compact(s.tokens)
	}
	g := grid{dims: dims, cells: make([]cell, len(s.tokens)), sets: &sets{index: make(map[string]cell)}}
	for i, t := range s.tokens {
		g.cells[i] = cell(t)
	}
	if dims > 1 {
		g = g.sorted(dims - 1).unique()
	}
	return g
}
