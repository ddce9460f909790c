package placeholder

import (
	"fmt"
	"slices"
	"strings"

	"shoal/internal/hint"
)

// Where says which placeholders of a command are replaced.
type Where uint8

const (
	// Unquoted, the zero value, means those outside quotes, and those with |sh.
	Unquoted Where = iota
	// Everywhere means those within quotes too.
	Everywhere
	// Never means none.
	Never
)

// A scanner splits a command into segments.
type scanner struct {
	text     string
	where    Where
	segments []segment
	// unsure is set for the rest of the text where shells may read its quotes otherwise than
	// scan does: at a comment, a here document, $'…', a line break within quotes, or a
	// backslash before a closing quote.
	unsure bool
	// Before nested stands a substitution within double quotes, whose own quotes do not end
	// these. Before raw stands text in which single quotes protect nothing.
	nested, raw int

	literal int      // where the literal text before the next placeholder begins
	kept    []string // placeholders that stay as they are typed, each once
	unknown []string // words that resemble a placeholder's, each once
}

func (s *scanner) scan() *SyntaxError {
	var quote byte // the open quote, 0 outside quotes
	for at := 0; at < len(s.text); at++ {
		switch c := s.text[at]; {
		case c == '\\':
			at += s.backslash(at, quote)
		case c == '\n' && quote != 0:
			s.unsure = true // csh ends quotes there
		case c == '\'' && at < s.nested, c == '"' && at < s.nested:
		case c == '`' && quote != '\'', c == '$' && quote != '\'', c == '(' && quote == 0:
			s.nest(at, quote)
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote == 0 && c == '#' && (at == 0 || strings.IndexByte(" \t\n;&|()", s.text[at-1]) >= 0),
			quote == 0 && c == '<' && at > 0 && s.text[at-1] == '<':
			s.unsure = true
		case c == '{':
			inside := form(s.text[at:])
			if inside == "" || at > 0 && s.text[at-1] == '$' {
				continue
			}
			placed, err := s.place(at, inside, quote != 0 || at < s.nested)
			if err != nil {
				return err
			}
			if placed {
				at += len(inside) + len("}")
			}
		}
	}
	if s.literal < len(s.text) {
		s.segments = append(s.segments, segment{literal: s.text[s.literal:]})
	}
	return nil
}

// backslash returns how many of the bytes after the backslash at at it protects, 0 or 1.
// Only fish knows \' within single quotes, and csh no \" within double ones.
func (s *scanner) backslash(at int, quote byte) int {
	if at+1 == len(s.text) {
		return 0
	}
	next := s.text[at+1]
	s.unsure = s.unsure || quote != 0 && next == quote || quote == '"' && next == '`'
	switch {
	case quote == '\'' && next != '\\':
		return 0
	case next == '{':
		s.keep(form(s.text[at+1:]))
	}
	return 1
}

// nest looks at what begins at at outside single quotes: within double quotes a
// substitution, elsewhere backquotes or arithmetic.
func (s *scanner) nest(at int, quote byte) {
	rest := s.text[at:]
	s.unsure = s.unsure || strings.HasPrefix(rest, "$'") // csh opens quotes even within others
	if at < max(s.nested, s.raw) {
		return
	}
	var opens, closes string
	switch {
	case rest[0] == '`':
		opens, closes = "`", "`"
	case quote != 0 && strings.HasPrefix(rest, "$("):
		opens, closes = "$(", ")"
	case strings.HasPrefix(rest, "(("):
		opens, closes = "((", "))"
	case strings.HasPrefix(rest, "$["):
		opens, closes = "$[", "]"
	case quote != 0 && strings.HasPrefix(rest, "${"):
		opens, closes = "${", "}"
	default:
		return
	}
	inside, closed := balanced(rest[len(opens):], opens[len(opens)-1], closes)
	// Plain quotes of such a text are the same for every shell; of all else nobody knows.
	if !closed || strings.ContainsAny(inside, "'\\`#<\n") || strings.Contains(inside, "case") ||
		strings.Count(inside, `"`) > 0 && opens != "$(" || strings.Count(inside, `"`)%2 > 0 {
		s.unsure = true
	}
	end := &s.raw
	if quote != 0 {
		end = &s.nested
	}
	*end = min(at+len(opens)+len(inside)+len(closes), len(s.text))
}

// balanced returns the text before closes, or all of it if closes is missing. It passes
// over as many closes as there are opening bytes before them.
func balanced(text string, opening byte, closes string) (inside string, closed bool) {
	depth := 1
	for at := range len(text) {
		switch {
		case strings.HasPrefix(text[at:], closes):
			if depth--; depth == 0 {
				return text[:at], true
			}
		case text[at] == opening && len(closes) == 1:
			depth++
		}
	}
	return text, false
}

// place adds the placeholder with the text inside its braces, unless that stays as it is typed.
func (s *scanner) place(at int, inside string, quoted bool) (placed bool, err *SyntaxError) {
	word, filter, filtered := strings.Cut(inside, "|")
	value := valueOf(word)
	doubled := at > 0 && s.text[at-1] == '{'
	asked := filtered && filter == "sh" || !quoted || s.where == Everywhere
	switch {
	case doubled || !asked:
		s.keep(inside)
		return false, nil
	case value == nil && filtered && filter == "sh":
		return false, unknownWord(at, word)
	case value == nil:
		s.suspect(word)
		return false, nil
	case filtered && filter != "sh":
		return false, unknownFilter(at, filter)
	}
	p := &placeholder{word: word, value: value, quoted: filtered, within: quoted, unsure: s.unsure || at < s.raw}
	if name, ok := strings.CutPrefix(word, attrPrefix); ok {
		p.attr, p.quoted = name, true
	}
	s.segments = append(s.segments, segment{literal: s.text[s.literal:at], placeholder: p})
	s.literal = at + len(inside) + len("{}")
	return true, nil
}

// maxNoticed bounds how many words a notice names.
const maxNoticed = 5

// keep notes a placeholder that stays as it is typed.
func (s *scanner) keep(inside string) {
	word, _, _ := strings.Cut(inside, "|")
	if valueOf(word) != nil {
		s.kept = addOnce(s.kept, "{"+inside+"}")
	}
}

// suspect notes a word that may be a mistyped placeholder.
func (s *scanner) suspect(word string) {
	if similar := nearest(word); similar != "" {
		s.unknown = addOnce(s.unknown, fmt.Sprintf("{%.40s} (did you mean {%s}?)", word, similar))
	}
}

func addOnce(list []string, text string) []string {
	if len(list) == maxNoticed || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// notices describes what was noted.
func (s *scanner) notices() []string {
	var notices []string
	if len(s.kept) > 0 {
		notices = append(notices, fmt.Sprintf(
			"%s within quotes, or behind { or \\, stays in the command as typed: --placeholders replaces it within quotes, {host|sh} always does, --no-placeholders stops this notice",
			strings.Join(s.kept, ", ")))
	}
	if len(s.unknown) > 0 {
		notices = append(notices, strings.Join(s.unknown, ", ")+" stays in the command as typed: it is no placeholder")
	}
	return notices
}

// nearest returns the placeholder that a word was probably meant to be, or "".
func nearest(word string) string {
	for _, known := range words() {
		if d := hint.Edits(word, known); d > 0 && d <= 1+len(known)/5 {
			return known
		}
	}
	return ""
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
