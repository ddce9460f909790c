package placeholder

import "strings"

// A scanner splits a command into segments, assuming that it is a template.
type scanner struct {
	text     string
	segments []segment
	literal  strings.Builder
	open     []brace // literal braces that are still open

	placeholders int
	doubled      int // the number of {{
	escaped      int // the number of those that begin an escaped placeholder
}

// A brace is the form of an opening brace.
type brace bool

const (
	single brace = false
	double brace = true
)

// isTemplate reports whether the assumption was correct.
func (s *scanner) isTemplate() bool {
	return s.placeholders > 0 || s.escaped > 0 && s.escaped == s.doubled
}

func (s *scanner) scan() *SyntaxError {
	for at := 0; at < len(s.text); {
		length, err := s.step(at)
		if err != nil {
			return err
		}
		at += length
	}
	if s.literal.Len() > 0 || len(s.segments) == 0 {
		s.end(nil)
	}
	return nil
}

// step scans one token at the offset and returns its length.
func (s *scanner) step(at int) (int, *SyntaxError) {
	rest := s.text[at:]
	switch {
	case strings.HasPrefix(rest, "{{"):
		return s.openDouble(at, rest)
	case rest[0] == '{':
		if inside := form(rest); inside != "" && (at == 0 || s.text[at-1] != '$') {
			return len(inside) + len("{}"), s.place(at, inside)
		}
		s.open = append(s.open, single)
	case rest[0] == '}':
		return s.closeBrace(rest), nil
	}
	s.literal.WriteByte(rest[0])
	return 1, nil
}

// openDouble scans a run of {{, each of which means {. A remaining single brace may begin
// a placeholder and is left for the next step.
func (s *scanner) openDouble(at int, rest string) (int, *SyntaxError) {
	braces := len(rest) - len(strings.TrimLeft(rest, "{"))
	pairs := braces / 2
	s.doubled += pairs
	for range pairs {
		s.open = append(s.open, double)
		s.literal.WriteByte('{')
	}
	if inside := form(rest[braces-1:]); inside != "" && braces%2 == 0 {
		if !strings.HasPrefix(rest[braces+len(inside):], "}}") {
			return 0, halfEscaped(at, inside)
		}
		s.escaped += pairs
	}
	return 2 * pairs, nil
}

// closeBrace scans } or }}, depending on the brace that it closes. If none is open, }}
// means }.
func (s *scanner) closeBrace(rest string) int {
	doubled := strings.HasPrefix(rest, "}}")
	s.literal.WriteByte('}')
	if len(s.open) == 0 {
		return length(doubled)
	}
	last := s.open[len(s.open)-1]
	if last == double && !doubled {
		return 1 // closes no brace
	}
	s.open = s.open[:len(s.open)-1]
	return length(last == double)
}

func length(doubled bool) int {
	if doubled {
		return 2
	}
	return 1
}

// place adds the placeholder with the text inside its braces.
func (s *scanner) place(at int, inside string) *SyntaxError {
	word, filter, filtered := strings.Cut(inside, "|")
	value := valueOf(word)
	if value == nil {
		return unknownWord(at, word, inside)
	}
	if filtered && filter != "sh" {
		return unknownFilter(at, filter)
	}
	s.placeholders++
	p := &placeholder{word: word, value: value, quoted: filtered}
	if name, ok := strings.CutPrefix(word, attrPrefix); ok {
		p.attr, p.quoted = name, true
	}
	s.end(p)
	return nil
}

// end completes a segment.
func (s *scanner) end(p *placeholder) {
	s.segments = append(s.segments, segment{literal: s.literal.String(), placeholder: p})
	s.literal.Reset()
}

// form returns the text inside the braces if text begins with something in the form of a
// placeholder, known or unknown, and "" otherwise.
func form(text string) string {
	end := 1
	for end < len(text) && (isWordByte(text[end]) || text[end] == '|') {
		end++
	}
	if end == len(text) || text[end] != '}' {
		return ""
	}
	inside := text[1:end]
	for word := range strings.SplitSeq(inside, "|") {
		if !isWord(word) {
			return ""
		}
	}
	return inside
}

// isWord rejects a trailing or double dot, so that a shell's {a..z} is not a word.
func isWord(text string) bool {
	return text != "" && text[0] >= 'a' && !strings.HasSuffix(text, ".") && !strings.Contains(text, "..")
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '.'
}
