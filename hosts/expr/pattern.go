package expr

import (
	"iter"
	"strings"
)

// A pattern is one name or the product of several ranges.
type pattern struct {
	parts []part
	names int
	bytes int  // upper bound of the length of all names
	wild  bool // a literal contains * or ?
}

// A part is literal text or, if spans is not nil, one bracket.
type part struct {
	literal string
	spans   []span
}

func (pat *pattern) addLiteral(text string) {
	if text != "" {
		pat.parts = append(pat.parts, part{literal: text})
	}
}

// addSpans adds a bracket; it returns false if the product would exceed MaxNames.
func (pat *pattern) addSpans(spans []span) bool {
	count := 0
	for _, s := range spans {
		count += s.count()
		if count > MaxNames {
			return false
		}
	}
	pat.parts = append(pat.parts, part{spans: spans})
	pat.names *= count // both at most MaxNames: no overflow in 64 bits
	return pat.names <= MaxNames
}

// isGroup reports whether the pattern names groups: it begins with @, before which a login
// name would stand.
func (pat pattern) isGroup() bool { return strings.HasPrefix(pat.parts[0].literal, "@") }

// each yields the names of the pattern; the last range varies fastest.
func (pat pattern) each(yield func(string) bool) bool {
	if len(pat.parts) == 1 && pat.parts[0].spans == nil {
		return yield(pat.parts[0].literal)
	}
	return product(make([]byte, 0, MaxNameLen), pat.parts, yield)
}

func (pat pattern) all() iter.Seq[string] {
	return func(yield func(string) bool) { pat.each(yield) }
}

// product yields prefix followed by every combination of the parts; prefix has capacity for
// them.
func product(prefix []byte, parts []part, yield func(string) bool) bool {
	if len(parts) == 0 {
		return yield(string(prefix))
	}
	head, rest := parts[0], parts[1:]
	if head.spans == nil {
		return product(append(prefix, head.literal...), rest, yield)
	}
	for _, s := range head.spans {
		for v := s.first; v <= s.last; v += s.step {
			if !product(appendNumber(prefix, v, s.width), rest, yield) {
				return false
			}
		}
	}
	return true
}
