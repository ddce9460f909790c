package match_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/internal/ssh/match"
)

// Pattern agrees with the equivalent regular expression.
func TestPatternIsARegularLanguage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*?.]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab.]{0,10}`).Draw(t, "name")
		expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile("^(?:" + expr + ")$").MatchString(name)
		if got := match.Pattern(name, pattern); got != want {
			t.Fatalf("match.Pattern(%q, %q) = %v", name, pattern, got)
		}
	})
}

// Only ASCII letters change, and no byte is lost.
func TestLower(t *testing.T) {
	for s, want := range map[string]string{"": "", "web1": "web1", "WEB-Z": "web-z", "[A]:22": "[a]:22", "\xc4\xffA\u00c4": "\xc4\xffa\u00c4"} {
		if got := match.Lower(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
