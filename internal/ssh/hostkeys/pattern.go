package hostkeys

import "strings"

// isPlain reports whether a list of names has no wildcard and no negation.
func isPlain(names string) bool { return !strings.ContainsAny(names, "*?!") }

// matchList reports whether a lower-case name matches a list of patterns: at least one matches,
// and none that begins with "!" does (match_pattern_list and match_hostname in OpenSSH's
// match.c).
func matchList(name, patterns string) bool {
	matched := false
	for pattern := range strings.SplitSeq(patterns, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !matchPattern(name, lower(pattern)) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// matchPattern reports whether name matches pattern: "*" matches any text, also none, and "?"
// one byte; brackets are literal. It takes at most len(name) × len(pattern) steps.
func matchPattern(name, pattern string) bool {
	n, p := 0, 0
	star, resume := -1, 0 // the last "*" seen, and where to continue in name after it
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			n++
			p++
		case star >= 0:
			// Let the star match one byte more.
			resume++
			n, p = resume, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// lower maps A–Z only, as OpenSSH does in the C locale.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return asciiLower(s)
		}
	}
	return s
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
