package expr_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/hosts/expr"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ names, want string }{
		{"", ""},
		{"a", "a"},
		{"b a b", "a,b"},
		{"node7 node3 node9 node8", "node[3,7-9]"},
		{"node1", "node1"},
		{"node1 node2", "node[1-2]"},
		{"node01 node1", "node[1,01]"},
		{"n1 n01 n001 n2 n02", "n[1-2,01-02,001]"},
		{"n098 n099 n100 n101", "n[098-101]"},
		{"n003 n017 n150 n151", "n[003,017,150-151]"},
		{"n98 n99 n100", "n[98-100]"},
		{"n99 n100 n099", "n[99-100,099]"},
		{"n1 n099 n100 n101", "n[1,099-101]"},
		{"n1 n005 n100 n101", "n[1,100-101,005]"},
		{"n0 n00 n000", "n[0,00,000]"},
		{"n9 n09 n10 n010 n11", "n[9-11,09,010]"},
		{"n1 n3 n5", "n[1,3,5]"},
		{"n1 n3 n5 n7", "n[1,3,5,7]"},
		{"n1 n3 n5 n7 n9", "n[1-9/2]"},
		{"n1 n2 n3 n5 n7 n9 n11 n13 n20", "n[1-3,5-13/2,20]"},
		{"n001 n101 n201 n301 n401", "n[001-401/100]"},
		{"n1r3 n1r4 n2r3 n2r4", "n[1-2]r[3-4]"},
		{"a1b1 a1b2 a2b1 a2b2 a3b1", "a[1-2]b[1-2],a3b1"},
		{"a1b1 a2b1 a3b1 a4b1 a3b2", "a[1-4]b1,a3b2"},
		{"r1n1 r1n2 r1n3 r2n1 r2n3 r3n1 r3n2 r3n3", "r[1,3]n[1-3],r2n[1,3]"},
		{"127.1.0.1 127.1.0.2 127.1.0.3", "127.1.0.[1-3]"},
		{"10.0.0.1 10.0.0.2 10.0.1.1 10.0.1.2", "10.0.[0-1].[1-2]"},
		{"node1:2222 node2:2222 node3:2222", "node[1-3]:2222"},
		{"root@node1 node1 root@node2", "node1,root@node[1-2]"},
		{"[::1]:22 [::2]:22", "[::1]:22,[::2]:22"},
		{"fe80::1%eth0 fe80::2%eth0", "fe80::[1-2]%eth0"},
		{"db10 web2 db9 web1 x", "db[9-10],web[1-2],x"},
		{"n n1 n2", "n,n[1-2]"},
		{"n12345678901234567 n12345678901234568", "n12345678901234567,n12345678901234568"},
		{"n9999999999999999 n9999999999999998", "n[9999999999999998-9999999999999999]"},
		{"a\x001 a1", "a\x001,a1"},
		{"\x00 7", "\x00,7"},
	} {
		if got := expr.Fold(strings.Fields(c.names)); got != c.want {
			t.Errorf("Fold(%q) = %q, want %q", c.names, got, c.want)
		}
	}
	if got := expr.Fold([]string{"", "a", ""}); got != "a" {
		t.Errorf("empty names: %q", got)
	}
}

func TestFoldKeepsItsInput(t *testing.T) {
	names := []string{"n3", "n1", "n3", "n2"}
	before := slices.Clone(names)
	expr.Fold(names)
	if diff := cmp.Diff(before, names); diff != "" {
		t.Error(diff)
	}
}

func TestFoldOfManyIsExact(t *testing.T) {
	for _, text := range []string{
		"node[000001-200000]",
		"10.[0-3].[0-255].[1-254]",
		"rack[1-300]node[01-40]:2222",
	} {
		names, err := expr.Expand(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := expr.Fold(names); got != text {
			t.Errorf("Fold(Expand(%q)) = %.100q", text, got)
		}
	}
}

// checkFold holds Fold to its promise for names that an expression can hold.
func checkFold(t rapid.TB, names []string) {
	t.Helper()
	want := slices.Clone(names)
	slices.Sort(want)
	want = slices.Compact(want)
	folded := expr.Fold(names)
	got, err := expr.Expand(folded)
	if err != nil {
		t.Fatalf("Fold(%.300q) = %.300q: %v", names, folded, err)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("Fold(%.300q) = %.300q, which is %.300q", names, folded, got)
	}
	if again := expr.Fold(got); again != folded {
		t.Fatalf("Fold(%.300q) = %q, of its own expansion %q", names, folded, again)
	}
}

// drawNames returns names close enough together to fold in many ways.
func drawNames(t *rapid.T) []string {
	number := rapid.Custom(func(t *rapid.T) string {
		width := rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(t, "width")
		low := rapid.SampledFrom([]int{0, 5, 95, 995}).Draw(t, "low")
		return fmt.Sprintf("%0*d", width, rapid.IntRange(low, low+12).Draw(t, "number"))
	})
	name := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]string{"a", "n", "[::1]:22", "u@[fe80::9]"}).Draw(t, "plain")
		case 1:
			return "n" + number.Draw(t, "i") + "r" + number.Draw(t, "j")
		case 2:
			return fmt.Sprintf("10.%s.0.%s", number.Draw(t, "i"), number.Draw(t, "j"))
		case 3:
			return "a" + rapid.StringMatching(`[1-3]b[1-3]c[1-3]`).Draw(t, "cube")
		case 4:
			return "u@n" + number.Draw(t, "i") + ":" + number.Draw(t, "port")
		default:
			return "n" + number.Draw(t, "i")
		}
	})
	return rapid.SliceOfN(name, 1, 60).Draw(t, "names")
}

func TestFoldIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkFold(t, drawNames(t)) })
}

func TestExpandCountsWhatItGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bracket := rapid.Custom(func(t *rapid.T) (b struct {
			text  string
			count int
		},
		) {
			var items []string
			for range rapid.IntRange(1, 4).Draw(t, "items") {
				first := rapid.IntRange(0, 50).Draw(t, "first")
				extra := rapid.IntRange(0, 9).Draw(t, "extra")
				step := rapid.IntRange(1, 4).Draw(t, "step")
				items = append(items, fmt.Sprintf("%03d-%03d/%d", first, first+extra, step))
				b.count += extra/step + 1
			}
			b.text = "[" + strings.Join(items, ",") + "]"
			return b
		})
		text, want := "n", 1
		for range rapid.IntRange(0, 3).Draw(t, "dims") {
			b := bracket.Draw(t, "bracket")
			text, want = text+b.text+"x", want*b.count
		}
		names, err := expr.Expand(text + ",other")
		if err != nil || len(names) != want+1 {
			t.Fatalf("Expand(%q): %d names, %v; want %d", text, len(names), err, want+1)
		}
	})
}

func TestCompare(t *testing.T) {
	ordered := []string{
		"", "1", "01", "2", "10", "a", "a1", "a01", "a001", "a1b", "a2", "a9", "a09", "a10", "a10b2", "a10b10", "aa", "b",
		"n99999999999999999999", "n100000000000000000000",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			got := expr.Compare(a, b)
			if want := min(max(i-j, -1), 1); got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestCompareIsTotal(t *testing.T) {
	name := rapid.StringMatching(`[a0-2]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := name.Draw(t, "a"), name.Draw(t, "b"), name.Draw(t, "c")
		if expr.Compare(a, b) != -expr.Compare(b, a) {
			t.Fatalf("%q and %q: not antisymmetric", a, b)
		}
		if (expr.Compare(a, b) == 0) != (a == b) {
			t.Fatalf("%q and %q: equal or not?", a, b)
		}
		if expr.Compare(a, b) <= 0 && expr.Compare(b, c) <= 0 && expr.Compare(a, c) > 0 {
			t.Fatalf("%q %q %q: not transitive", a, b, c)
		}
	})
}
