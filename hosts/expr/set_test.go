package expr_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/hosts/expr"
)

// checkSet holds a Set to what its expression's names say.
func checkSet(t rapid.TB, e expr.Expr) {
	t.Helper()
	set := e.Set()
	names := slices.Collect(e.Names())
	if !set.Equal(expr.SetOf(names)) {
		t.Fatalf("set %q of the names %.300q", set, names)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	got := slices.Sorted(set.Names())
	if !slices.Equal(got, names) || set.Len() != len(names) {
		t.Fatalf("%d names %.300q, want %.300q", set.Len(), got, names)
	}
	for _, name := range names {
		if !set.Contains(name) {
			t.Fatalf("%q is not in %.300q", name, set)
		}
	}
}

func TestSetIsInOrder(t *testing.T) {
	set := mustParse(t, "web10,web2,web1-ib,db,web1,n[08-11],n9,web2-ib,r2n1,r1n10,r1n2,db").Set()
	want := "db n9 n08 n09 n10 n11 r1n2 r1n10 r2n1 web1 web2 web10 web1-ib web2-ib"
	if got := strings.Join(slices.Collect(set.Names()), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := set.String(); got != "db,n[9,08-11],r1n[2,10],r2n1,web[1-2,10],web[1-2]-ib" {
		t.Errorf("folded: %s", got)
	}
}

func TestSetParts(t *testing.T) {
	set := mustParse(t, "a,b[1-5],c[1-2]d[1-2]").Set()
	for _, c := range []struct {
		from, to int
		want     string
	}{
		{0, 10, "a,b[1-5],c[1-2]d[1-2]"},
		{-3, 1, "a"},
		{1, 3, "b[1-2]"},
		{5, 7, "b5,c1d1"},
		{7, 99, "c1d2,c2d[1-2]"},
		{3, 3, ""},
		{4, 2, ""},
		{10, 12, ""},
	} {
		got := set.Slice(c.from, c.to)
		if got.Fold() != c.want || got.Len() != max(0, min(c.to, 10)-max(c.from, 0)) {
			t.Errorf("Slice(%d, %d) = %q of %d, want %q", c.from, c.to, got, got.Len(), c.want)
		}
		same := set.Filter(func(i int) bool { return i >= c.from && i < c.to })
		if !same.Equal(got) {
			t.Errorf("Filter from %d to %d = %q, want %q", c.from, c.to, same, got)
		}
	}
}

func TestSetContains(t *testing.T) {
	set := expr.SetOf([]string{"n1", "n02", "a1b1", "a2b2", "x", "", "[::1]:22", "a\x001"})
	for name, want := range map[string]bool{
		"n1": true, "n02": true, "a1b1": true, "x": true, "[::1]:22": true, "a\x001": true,
		"n2": false, "n01": false, "a1b2": false, "y": false, "": false, "[::2]:22": false, "a1": false, "n": false,
	} {
		if set.Contains(name) != want {
			t.Errorf("Contains(%q) is %v", name, !want)
		}
	}
	if (expr.Set{}).Contains("a") || (expr.Set{}).Len() != 0 || (expr.Set{}).Fold() != "" {
		t.Error("the zero Set is not empty")
	}
}

func TestSetsDoNotChange(t *testing.T) {
	a := mustParse(t, "n[1-9],a[1-3]b[1-3],x").Set()
	b := mustParse(t, "n[2-3],a2b2,x,y").Set()
	folded := a.Fold() + " " + b.Fold()
	for _, op := range []func(expr.Set) expr.Set{a.Union, a.Minus, a.Intersect, a.Xor, b.Union, b.Xor} {
		part := op(b).Slice(0, 5)
		part.Union(a).Minus(b)
	}
	if got := a.Fold() + " " + b.Fold(); got != folded {
		t.Errorf("now %s, before %s", got, folded)
	}
}

func TestBuilder(t *testing.T) {
	var b expr.Builder
	for _, text := range []string{"n[3-5]", "n[1-4]!n2", "x", "n[1-2]r[1-2],n1r3"} {
		b.AddExpr(mustParse(t, text))
	}
	b.Add("n[9]")
	b.Add("n7")
	first := b.Set()
	if got := first.Fold(); got != "n[1,3-5,7],n1r[1-3],n2r[1-2],n[9],x" {
		t.Errorf("got %s", got)
	}
	b.Add("other")
	if got := b.Set().Fold(); got != "other" {
		t.Errorf("used again: %s", got)
	}
}

func mustParse(t rapid.TB, text string) expr.Expr {
	t.Helper()
	e, err := expr.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestAlgebraLaws draws three sets that overlap and compares both sides of the
// laws of set algebra.
func TestAlgebraLaws(t *testing.T) {
	laws := []struct {
		name        string
		left, right func(a, b, c expr.Set) expr.Set
	}{
		{
			"union commutes",
			func(a, b, _ expr.Set) expr.Set { return a.Union(b) },
			func(a, b, _ expr.Set) expr.Set { return b.Union(a) },
		},
		{
			"intersection commutes",
			func(a, b, _ expr.Set) expr.Set { return a.Intersect(b) },
			func(a, b, _ expr.Set) expr.Set { return b.Intersect(a) },
		},
		{
			"union associates",
			func(a, b, c expr.Set) expr.Set { return a.Union(b).Union(c) },
			func(a, b, c expr.Set) expr.Set { return a.Union(b.Union(c)) },
		},
		{
			"exclusive or associates",
			func(a, b, c expr.Set) expr.Set { return a.Xor(b).Xor(c) },
			func(a, b, c expr.Set) expr.Set { return a.Xor(b.Xor(c)) },
		},
		{
			"intersection distributes over union",
			func(a, b, c expr.Set) expr.Set { return a.Intersect(b.Union(c)) },
			func(a, b, c expr.Set) expr.Set { return a.Intersect(b).Union(a.Intersect(c)) },
		},
		{
			"de Morgan",
			func(a, b, c expr.Set) expr.Set { return a.Minus(b.Union(c)) },
			func(a, b, c expr.Set) expr.Set { return a.Minus(b).Intersect(a.Minus(c)) },
		},
		{
			"exclusive or by the others",
			func(a, b, _ expr.Set) expr.Set { return a.Xor(b) },
			func(a, b, _ expr.Set) expr.Set { return a.Union(b).Minus(a.Intersect(b)) },
		},
		{
			"a set and its rest",
			func(a, b, _ expr.Set) expr.Set { return a.Minus(b).Union(a.Intersect(b)) },
			func(a, _, _ expr.Set) expr.Set { return a },
		},
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := expr.SetOf(drawNames(t)), expr.SetOf(drawNames(t)), expr.SetOf(drawNames(t))
		for _, law := range laws {
			left, right := law.left(a, b, c), law.right(a, b, c)
			if !left.Equal(right) || left.Fold() != right.Fold() {
				t.Fatalf("%s: a %q, b %q, c %q: %q is not %q", law.name, a, b, c, left, right)
			}
		}
	})
}

// TestOperatorsByModel compares operators with what they mean for each name.
func TestOperatorsByModel(t *testing.T) {
	operand := rapid.SampledFrom([]string{
		"n1", "n2", "n3", "n03", "x", "a1b1", "a2b1", "n[2-6]", "n[1-9/2]", "n[01-03]", "a[1-2]b[1-2]", "n[1-2][0-1]",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := operand.Draw(t, "first")
		model := make(map[string]bool)
		for _, name := range expand(t, text) {
			model[name] = true
		}
		for range rapid.IntRange(0, 5).Draw(t, "more") {
			op := rapid.SampledFrom([]string{",", "!", "&", "^"}).Draw(t, "operator")
			right := operand.Draw(t, "operand")
			text += op + right
			applyToModel(model, op, expand(t, right))
		}
		e := mustParse(t, text)
		got := slices.Compact(slices.Sorted(e.Names()))
		want := slices.Sorted(maps.Keys(model))
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %q, want %q", text, got, want)
		}
		checkSet(t, e)
	})
}

func expand(t rapid.TB, text string) []string {
	t.Helper()
	names, err := expr.Expand(text)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func applyToModel(model map[string]bool, op string, names []string) {
	if op == "&" {
		maps.DeleteFunc(model, func(name string, _ bool) bool { return !slices.Contains(names, name) })
		return
	}
	for _, name := range names {
		if op == "!" || op == "^" && model[name] {
			delete(model, name)
		} else {
			model[name] = true
		}
	}
}

// TestLeftOutInAnyCase: names to be left out are left out in any case; all else is exact.
func TestLeftOutInAnyCase(t *testing.T) {
	for text, want := range map[string]string{
		"db1,web1!DB1":           "web1",
		"db[1-3],x!Db[2-3]":      "db1 x",
		"n1,N1,N2!n[1-2]":        "",
		"n1,N1,x,X!n1":           "x X",
		"n[1-2]!N1,n1":           "n2 n1",
		"n1,N1&n1":               "n1",
		"n1&N1":                  "",
		"n[1-2]^N[2-3]":          "n1 N3",
		"n1,N2^n2,N1":            "n1 N1",
		"gate,Gate,GATE,x^gAtE":  "x",
		"a1b1,a1B2!A[1-2]b[1-9]": "",
	} {
		names := expand(t, text)
		slices.Sort(names)
		sorted := strings.Fields(want)
		slices.Sort(sorted)
		if !slices.Equal(names, sorted) {
			t.Errorf("%s: %q, want %q", text, names, want)
		}
	}
	if expr.SetOf([]string{"a1"}).Equal(expr.SetOf([]string{"A1"})) {
		t.Error("names in another case are equal sets")
	}
}

// TestRowsOfAllSizes sorts numbers that fit into one word together and such
// that do not.
func TestRowsOfAllSizes(t *testing.T) {
	number := rapid.SampledFrom([]string{"0", "7", "12", "999", "123456789012", "9999999999999998", "9999999999999999"})
	name := rapid.Custom(func(t *rapid.T) string {
		return "a" + number.Draw(t, "i") + "b" + number.Draw(t, "j") + "c" + number.Draw(t, "k")
	})
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(name, 1, 40).Draw(t, "names")
		got := slices.Collect(expr.SetOf(names).Names())
		want := slices.Clone(names)
		slices.SortFunc(want, expr.Compare)
		if want = slices.Compact(want); !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
		checkFold(t, names)
	})
}
