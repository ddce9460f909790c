package config

import (
	"strings"

	"shoal/internal/ssh/match"
)

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
	return p.literal && s == p.text || !p.literal && match.Pattern(s, p.text)
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
func matchListFold(s, list string) bool { return matchList(s, match.Lower(list)) }
