package groups

import (
	"bytes"
	"regexp"
)

// ByRegexp returns an Options.Part: of each line the first match of re, or of its first
// group in parentheses if it has one. Lines without a match have no part.
func ByRegexp(re *regexp.Regexp) func([]byte) ([]byte, bool) {
	return byLine(func(line []byte) []byte {
		at := re.FindSubmatchIndex(line)
		switch {
		case at == nil:
			return nil
		case len(at) > 2 && at[2] < 0: // the group took no part in the match
			return nil
		case len(at) > 2:
			return line[at[2]:at[3]]
		}
		return line[at[0]:at[1]]
	})
}

// ByField returns an Options.Part: of each line the field n, from 1, or from the end, -1.
// Fields are separated by blanks. Lines with fewer have no part.
func ByField(n int) func([]byte) ([]byte, bool) {
	return byLine(func(line []byte) []byte {
		fields := bytes.Fields(line)
		switch {
		case n > 0 && n <= len(fields):
			return fields[n-1]
		case n < 0 && -n <= len(fields):
			return fields[len(fields)+n]
		}
		return nil
	})
}

// byLine returns the parts of the lines that have one, each as a line.
func byLine(part func(line []byte) []byte) func([]byte) ([]byte, bool) {
	return func(text []byte) (parts []byte, ok bool) {
		for line := range bytes.Lines(text) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if p := part(line); p != nil {
				parts = append(append(parts, p...), '\n')
				ok = true
			}
		}
		return parts, ok
	}
}
