package expr

import (
	"strings"
	"unicode/utf8"
)

// A matcher matches names against a pattern with wildcards: * is any text, also none, ? is one
// character, and a bracket is one of its numbers. It follows all paths through the pattern at
// once, so that its time is at most proportional to the pattern's length times the name's.
type matcher struct {
	steps     []step
	anyCase   bool
	now, next []bool // by offset in the name: whether the steps so far can end there
}

// A step is one element of a pattern: spans, * or ?, or else literal text.
type step struct {
	spans   []span
	wild    byte
	literal string
}

func newMatcher(pat pattern, anyCase bool) *matcher {
	m := &matcher{anyCase: anyCase}
	for _, part := range pat.parts {
		if part.spans != nil {
			m.steps = append(m.steps, step{spans: part.spans})
			continue
		}
		for rest := part.literal; rest != ""; {
			end := strings.IndexAny(rest, "*?")
			switch end {
			case -1:
				end = len(rest)
				fallthrough
			default:
				m.steps = append(m.steps, step{literal: rest[:end]})
			case 0:
				end = 1
				m.steps = append(m.steps, step{wild: rest[0]})
			}
			rest = rest[end:]
		}
	}
	return m
}

func (m *matcher) match(name string) bool {
	m.now, m.next = cleared(m.now, len(name)+1), cleared(m.next, len(name)+1)
	m.now[0] = true
	for _, s := range m.steps {
		if !s.advance(name, m.anyCase, m.now, m.next) {
			return false
		}
		m.now, m.next = m.next, m.now
		clear(m.next)
	}
	return m.now[len(name)]
}

func cleared(list []bool, size int) []bool {
	if cap(list) < size {
		return make([]bool, size)
	}
	clear(list[:size])
	return list[:size]
}

// advance marks in next where a step that begins at one of the offsets in now can end, and
// reports whether there is such an offset.
func (s step) advance(name string, anyCase bool, now, next []bool) bool {
	some := false
	reach := func(end int) { next[end], some = true, true }
	for at, ok := range now {
		if !ok {
			continue
		}
		rest := name[at:]
		switch {
		case s.spans != nil:
			for end := 1; end <= min(len(rest), maxDigits) && isDigit(rest[end-1]); end++ {
				if holds(s.spans, rest[:end]) {
					reach(at + end)
				}
			}
		case s.wild == '*':
			for end := at; end <= len(name); end++ {
				reach(end)
			}
			return true
		case s.wild == '?':
			if _, size := utf8.DecodeRuneInString(rest); size > 0 {
				reach(at + size)
			}
		case strings.HasPrefix(rest, s.literal), anyCase && len(rest) >= len(s.literal) && strings.EqualFold(rest[:len(s.literal)], s.literal):
			reach(at + len(s.literal))
		}
	}
	return some
}

// holds reports whether a bracket includes exactly these digits.
func holds(spans []span, text string) bool {
	t := newToken(text)
	for _, s := range spans {
		v := t.value()
		if s.first <= v && v <= s.last && (v-s.first)%s.step == 0 && padded(v, s.width) == t {
			return true
		}
	}
	return false
}
