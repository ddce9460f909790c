package attr_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/hosts/internal/attr"
)

func TestZero(t *testing.T) {
	var s attr.Set
	if value, there := s.Attr("x"); there || value != "" || s.Len() != 0 {
		t.Errorf("%q, %v", value, there)
	}
	for range s.All() {
		t.Error("a zero Set yields something")
	}
	var b attr.Builder
	if s := b.Set(maps.All(map[string]string{})); s.Len() != 0 {
		t.Errorf("%d attributes of none", s.Len())
	}
}

func TestLastCounts(t *testing.T) {
	var b attr.Builder
	s := b.Set(func(yield func(string, string) bool) {
		_ = yield("b", "1") && yield("a", "2") && yield("b", "3")
	})
	if value, _ := s.Attr("b"); value != "3" || s.Len() != 2 {
		t.Errorf("b is %q of %d", value, s.Len())
	}
}

// TestSets: what a Builder was given is what its Sets tell, however many there are.
func TestSets(t *testing.T) {
	name := rapid.StringMatching(`[a-c]{1,2}`)
	rapid.Check(t, func(t *rapid.T) {
		var b attr.Builder
		given := rapid.SliceOfN(rapid.MapOfN(name, rapid.String(), 0, 8), 0, 20).Draw(t, "sets")
		var sets []attr.Set
		for _, m := range given {
			sets = append(sets, b.Set(maps.All(m)))
		}
		for i, m := range given {
			if diff := cmp.Diff(m, maps.Collect(sets[i].All())); diff != "" {
				t.Fatalf("set %d (-given +told):\n%s", i, diff)
			}
			var names []string
			for n := range sets[i].All() {
				names = append(names, n)
			}
			if !slices.IsSorted(names) || sets[i].Len() != len(m) {
				t.Fatalf("names %q of %d", names, len(m))
			}
			for _, n := range []string{"a", "b", "c", "ab", "z", ""} {
				want, known := m[n]
				if got, there := sets[i].Attr(n); got != want || there != known {
					t.Fatalf("%s is %q, %v; want %q, %v", n, got, there, want, known)
				}
			}
		}
	})
}

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"env", "prod", ""},
		{"_a-b.c9", "", ""},
		{"größe", "ü", ""},
		{"", "x", "attribute without a name"},
		{"9a", "x", `character '9' in the attribute name "9a"`},
		{"a b", "x", `character ' ' in the attribute name "a b"`},
		{"a", "\xff", "attribute a is not valid UTF-8"},
		{"a", "b\x00", "attribute a holds a NUL byte"},
		{"a", strings.Repeat("x", attr.MaxValue+1), fmt.Sprintf("attribute a has %d bytes", attr.MaxValue+1)},
		{strings.Repeat("x", attr.MaxName+1), "", fmt.Sprintf("attribute name of %d bytes", attr.MaxName+1)},
	} {
		err := attr.Check(c.name, c.value)
		if got := fmt.Sprint(err); err == nil != (c.want == "") || err != nil && got != c.want {
			t.Errorf("%.20q=%.20q: %v; want %q", c.name, c.value, err, c.want)
		}
	}
}
