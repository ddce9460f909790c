package ansible

import (
	"strings"

	"shoal/hosts/internal/problem"
)

// Words cuts an argument line into words as Python's shlex does.
func Words(line string) ([]string, error) { return split(line) }

// split cuts a host line into words as Python's shlex does with comments: quotes
// of both kinds, \ before anything outside of them, before " and \ within "", and
// # as the beginning of a comment wherever it is not quoted.
func split(line string) ([]string, error) {
	var words []string
	var b strings.Builder
	inWord := false
	put := func() {
		if inWord {
			words = append(words, b.String())
			b.Reset()
			inWord = false
		}
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\r', '\n':
			put()
		case '#':
			put()
			return words, nil
		case '\'', '"':
			inWord = true
			end := quotedEnd(line, i, &b)
			if end < 0 {
				return nil, problem.Faultf("close it, or write \\ before it", "quote %c is not closed", c)
			}
			i = end
		case '\\':
			if i++; i == len(line) {
				return nil, problem.Faultf(`write \\ for a backslash`, `\ at the end of the line`)
			}
			inWord = true
			b.WriteByte(line[i])
		default:
			inWord = true
			b.WriteByte(c)
		}
	}
	put()
	return words, nil
}

// quotedEnd adds what stands in the quotes that begin at start and gives the place
// of the closing one, -1 where there is none.
func quotedEnd(line string, start int, b *strings.Builder) int {
	quote := line[start]
	for i := start + 1; i < len(line); i++ {
		c := line[i]
		if c == quote {
			return i
		}
		if c == '\\' && quote == '"' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\') {
			i++
			c = line[i]
		}
		b.WriteByte(c)
	}
	return -1
}
