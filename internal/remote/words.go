package remote

import (
	"errors"
	"fmt"
	"strings"

	"shoal/internal/hint"
)

// SplitWords returns the words of a command as sh would, if it is nothing but words: with blanks,
// single and double quotes and backslashes. What only a shell could do is an error.
func SplitWords(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(command) && command[i+1] != '\n':
			if next := command[i+1]; quote == 0 || strings.IndexByte(`$"\`+"`", next) >= 0 {
				i++
				c = next
			}
			word.WriteByte(c)
			begun = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'', quote == '"' && c != '$' && c != '`' && c != '\\':
			word.WriteByte(c)
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		case strings.IndexByte("|&;<>()$`*?[]{}\\\n", c) >= 0, !begun && (c == '#' || c == '~' || c == '!'):
			return nil, hint.Wrap(fmt.Errorf("the command has %q, which only a shell understands, and none runs it", c), "quote it, or leave out --become-direct")
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("the command has %q without another", quote)
	case len(words) == 0:
		return nil, errors.New("the command has no words")
	case strings.Contains(words[0], "="):
		return nil, errors.New("the command begins with an assignment, which only a shell understands")
	}
	return words, nil
}

// joinWords is the reverse of SplitWords.
func joinWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = hint.ShellWord(w)
	}
	return strings.Join(quoted, " ")
}
