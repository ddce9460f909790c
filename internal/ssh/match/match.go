// Package match compares names with patterns as OpenSSH does (ssh_config(5), PATTERNS;
// match.c).
package match

import "strings"

// Pattern reports whether s matches a pattern: '*' matches any run of bytes, also none, and
// '?' one byte. The worst-case time is proportional to the product of both lengths.
func Pattern(s, pattern string) bool {
	star, resume := -1, 0 // the last '*' seen, and where to continue in s after it
	i, p := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			i, p = i+1, p+1
		case star >= 0: // let the star match one byte more
			resume++
			i, p = resume, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Lower maps ASCII letters only, as tolower does in the C locale. All other bytes stay, also
// those that are not UTF-8.
func Lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return lower(s)
		}
	}
	return s
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
