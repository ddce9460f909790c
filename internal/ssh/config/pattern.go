package config

import "strings"

// A pattern is a host pattern of ssh_config(5), PATTERNS: '*' matches any run of bytes and '?'
// one byte.
type pattern struct {
	text    string
	prefix  string // the text before the first wildcard
	negated bool   // a '!' preceded it
	literal bool   // it has no wildcard
}

func parsePattern(s string) pattern {
	text, negated := strings.CutPrefix(s, "!")
	wild := strings.IndexAny(text, "*?")
	if wild < 0 {
		return pattern{text: text, prefix: text, negated: negated, literal: true}
	}
	return pattern{text: text, prefix: text[:wild], negated: negated}
}

func (p *pattern) matches(s string) bool {
	// Fast path: most patterns of a configuration do not match, and most of these differ in the
	// prefix.
	if !strings.HasPrefix(s, p.prefix) {
		return false
	}
	return p.literal && s == p.text || !p.literal && matchPattern(s, p.text)
}

// patterns are those of a Host line or of a comma-separated list.
type patterns []pattern

// maxPattern is the longest pattern in a list that OpenSSH compares (match.c).
const maxPattern = 1023

// parsePatterns parses a comma-separated list (match.c, match_pattern_list). A list with an
// overlong pattern matches nothing.
func parsePatterns(list string) patterns {
	if list == "" {
		return nil
	}
	var ps patterns
	for part := range strings.SplitSeq(strings.TrimSuffix(list, ","), ",") {
		p := parsePattern(part)
		if len(p.text) > maxPattern {
			return nil
		}
		ps = append(ps, p)
	}
	return ps
}

// match reports whether one of the patterns matches and none of the negated ones does.
func (ps patterns) match(s string) bool {
	found := false
	for i := range ps {
		p := &ps[i]
		if !p.matches(s) {
			continue
		}
		if p.negated {
			return false
		}
		found = true
	}
	return found
}

// matchList reports whether s matches a comma-separated list.
func matchList(s, list string) bool { return parsePatterns(list).match(s) }

// matchListFold is matchList with the list converted to lower case; s must be in lower case.
func matchListFold(s, list string) bool { return matchList(s, lower(list)) }

// matchPattern reports whether s matches a pattern (match.c, match_pattern). The worst-case
// time is proportional to the product of both lengths.
func matchPattern(s, pattern string) bool {
	star, resume := -1, 0
	i, p := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			i, p = i+1, p+1
		case star >= 0:
			resume++
			i, p = resume, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// lower maps ASCII letters only, as tolower does in the C locale.
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return strings.Map(func(r rune) rune {
				if 'A' <= r && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, s)
		}
	}
	return s
}
