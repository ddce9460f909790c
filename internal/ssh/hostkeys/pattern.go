package hostkeys

import (
	"strings"

	"shoal/internal/ssh/match"
)

// isPlain reports whether a list of names has no wildcard and no negation.
func isPlain(names string) bool { return !strings.ContainsAny(names, "*?!") }

// matchList reports whether a lower-case name matches a list of patterns: at least one matches,
// and none that begins with "!" does (match_pattern_list and match_hostname in OpenSSH's
// match.c).
func matchList(name, patterns string) bool {
	matched := false
	for pattern := range strings.SplitSeq(patterns, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !match.Pattern(name, match.Lower(pattern)) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}
