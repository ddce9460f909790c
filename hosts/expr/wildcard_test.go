package expr_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/hosts/expr"
)

// TestWildcardsByPath compares matching with that of package path, for every
// name that a pattern's ranges stand for.
func TestWildcardsByPath(t *testing.T) {
	piece := rapid.SampledFrom([]string{"*", "?", "a", "b", "1", "12", "0", "-", "[1-2]", "[01-12]", "[9-11]", "[0-4/2,7]"})
	known := rapid.StringMatching(`[ab]?[0-2]{0,3}[ab-]?[01]{0,2}`)
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Join(rapid.SliceOfN(piece, 1, 6).Draw(t, "pattern"), "") + "*"
		hosts := expr.SetOf(rapid.SliceOfN(known, 1, 30).Draw(t, "hosts"))
		if hosts.Len() == 0 {
			return
		}
		groups := mapGroups{"": {"*": hosts.Fold()}}
		e, err := expr.NewResolver(groups).Parse(pattern)
		if err != nil {
			t.Fatal(err)
		}
		masks := expand(t, strings.NewReplacer("*", "S", "?", "Q").Replace(pattern))
		for i, mask := range masks {
			masks[i] = strings.NewReplacer("S", "*", "Q", "?").Replace(mask)
		}
		var want []string
		for host := range hosts.Names() {
			if slices.ContainsFunc(masks, func(mask string) bool {
				ok, err := path.Match(mask, host)
				return ok && err == nil
			}) {
				want = append(want, host)
			}
		}
		if got := e.Set(); !got.Equal(expr.SetOf(want)) {
			t.Fatalf("%s of %q: %q, want %q", pattern, hosts, got, want)
		}
	})
}

// TestWildcardIsNeverSlow takes a pattern on which a matcher that goes back
// would not end.
func TestWildcardIsNeverSlow(t *testing.T) {
	groups := mapGroups{"": {"*": strings.Repeat("a", 500) + "," + strings.Repeat("1", 500)}}
	for _, pattern := range []string{strings.Repeat("*a", 200) + "b", strings.Repeat("[0-9,11,111]*", 6) + "b"} {
		if e, err := expr.NewResolver(groups).Parse(pattern); err != nil || e.Len() != 0 {
			t.Errorf("%.20s: %d names, %v", pattern, e.Len(), err)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range [][3]string{
		{"@a", "@b", "n[1-3]"},
		{"@a!n1", "@b,@b", "@a"},
		{"n*[1-2]&@*", "@*", "*"},
		{"@@,@b:*", "n?", "[::1]:22,n"},
		{"@[a-b]", "", ","},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, a, b string) {
		groups := mapGroups{"": {"a": a, "b": b, "*": "n[1-12],@b"}, "b": {"a": b, "c": a}}
		e, err := expr.NewResolver(groups).Parse(text)
		if err != nil || e.Len() > 10_000 {
			return
		}
		n := 0
		for range e.Names() {
			n++
		}
		if n != e.Len() {
			t.Fatalf("%q with a %q, b %q: %d names, counted %d", text, a, b, n, e.Len())
		}
		checkSet(t, e)
	})
}
