package remote

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Words are what a shell makes of them, and come through its quotes again.
func TestSplitWords(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		`a`, ` a  b `, `'a b' "c d"`, `a\ b \\ \'`, `"a\"b\\c\xd\$e" 'it'"'"'s'`, `'' "" x''`, "'a\nb'", `a#b x=y`, `/bin/echo -- ü`, `a"b"'c'\d`,
	} {
		words, err := SplitWords(command)
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		for _, text := range []string{command, joinWords(words)} {
			out, err := exec.Command("/bin/sh", "-c", `for w in `+text+`; do printf '%s\0' "$w"; done`).Output()
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(words, want) {
				t.Errorf("%s: %q, want %q", command, words, want)
			}
		}
	}
	for _, command := range []string{"", " ", "a;b", "a|b", "a&", "a >b", "$a", `"$a"`, "`a`", "a*", "a?", "[a]", "{a,b}", "~/a", "#a", "'a", `"a`, `a\`, "a\nb", "a\\\nb", "A=1 b", "! a", "(a)"} {
		if words, err := SplitWords(command); err == nil {
			t.Errorf("%q is taken as %q", command, words)
		}
	}
}
