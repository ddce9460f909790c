package config

import (
	"errors"
	"strings"
)

// whitespace separates a keyword from its arguments (readconf.c).
const whitespace = " \t\r\n"

var errOpenQuote = errors.New("no closing quote")

// cutKeyword cuts the first word off a line, like strdelim of misc.c: double quotes without
// escapes, and one optional '=' among the blanks that follow.
func cutKeyword(s string) (word, rest string, err error) {
	at := strings.IndexAny(s, whitespace+`"=`)
	if at < 0 {
		return s, "", nil
	}
	if s[at] == '"' {
		quoted, after, closed := strings.Cut(s[at+1:], `"`)
		if !closed {
			return "", "", errOpenQuote
		}
		return s[:at] + quoted, strings.TrimLeft(after, whitespace), nil
	}
	word, rest = s[:at], strings.TrimLeft(s[at+1:], whitespace)
	if s[at] != '=' && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], whitespace)
	}
	return word, rest, nil
}

// splitWords splits arguments into words as argv_split of misc.c does: blanks separate, a '#'
// at the start of a word ends the line, single and double quotes group, and a backslash is
// literal except before a quote, a backslash or, outside quotes, a blank.
func splitWords(s string) ([]string, error) {
	var words []string
	for i := 0; i < len(s); {
		switch s[i] {
		case ' ', '\t':
			i++
			continue
		case '#':
			return words, nil
		}
		word, next, err := scanWord(s, i)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
		i = next
	}
	return words, nil
}

// scanWord parses the word that begins at i and returns the index after it.
func scanWord(s string, i int) (word string, next int, err error) {
	var b strings.Builder
	var quote byte
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && escapable(s[i+1], quote):
			i++
			b.WriteByte(s[i])
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), i, nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", 0, errOpenQuote
	}
	return b.String(), i, nil
}

func escapable(c, quote byte) bool {
	return c == '\'' || c == '"' || c == '\\' || quote == 0 && c == ' '
}
