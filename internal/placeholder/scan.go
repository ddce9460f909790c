package placeholder

import "strings"

// A scanner cuts a command into segments, on the supposition that it is a
// template.
type scanner struct {
	text     string
	segments []segment
	literal  strings.Builder
	open     []brace // literal braces that are not closed yet

	placeholders int
	doubled      int // {{ seen
	escaped      int // of them those that begin an escaped placeholder
}

// A brace says how an opening brace was written.
type brace bool

const (
	single brace = false
	double brace = true
)

// isTemplate tells whether the supposition was right.
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

// step reads what stands at one place and gives its length.
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

// openDouble reads a run of {{, each of which stands for {. A brace that is
// left over may begin a placeholder and is for the next step.
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

// closeBrace reads } or }}, whichever the brace that it closes asks for. Where
// none is open, }} stands for }.
func (s *scanner) closeBrace(rest string) int {
	doubled := strings.HasPrefix(rest, "}}")
	s.literal.WriteByte('}')
	if len(s.open) == 0 {
		return length(doubled)
	}
	last := s.open[len(s.open)-1]
	if last == double && !doubled {
		return 1 // closes nothing
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

// place adds the placeholder written as inside.
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

// end closes a segment.
func (s *scanner) end(p *placeholder) {
	s.segments = append(s.segments, segment{literal: s.literal.String(), placeholder: p})
	s.literal.Reset()
}

// form gives what stands between the braces where text begins with a
// placeholder, known or not, and "" otherwise.
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

// isWord refuses what dots make of a shell's {a..z} among other things.
func isWord(text string) bool {
	return text != "" && text[0] >= 'a' && !strings.HasSuffix(text, ".") && !strings.Contains(text, "..")
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '.'
}
