package expr_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"shoal/hosts/expr"
)

const million = 1_000_000

func BenchmarkExpandMillion(b *testing.B) {
	for _, text := range []string{
		"node[0000001-1000000]",
		"root@rack[1-1000]node[1-1000].example.org:2222",
	} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if names, err := expr.Expand(text); err != nil || len(names) != million {
					b.Fatalf("%d names, %v", len(names), err)
				}
			}
		})
	}
}

// BenchmarkSetMillion reads an expression into a set.
func BenchmarkSetMillion(b *testing.B) {
	for _, text := range []string{
		"node[0000001-1000000]",
		"rack[1-1000]node[1-1000].example.org",
		"node[1-2000000]!node[1-2000000/2]",
		"rack[1-1000]node[1-2000]&rack[1-1000]node[1001-4000]",
		"node1[0-9][0-99999]",
	} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := expr.Parse(text)
				if err != nil || e.Set().Len() != million {
					b.Fatalf("%d names, %v", e.Len(), err)
				}
			}
		})
	}
}

// A kind of names gives name i of a million; i comes in random order.
type kind struct {
	name string
	of   func(i int, r *rand.Rand) string
}

var kinds = []kind{
	{"one range", func(i int, _ *rand.Rand) string { return fmt.Sprintf("node%07d", i) }},
	{"half of a range", func(i int, r *rand.Rand) string { return fmt.Sprintf("node%07d", 2*i+r.IntN(2)) }},
	{"no two adjacent", func(_ int, r *rand.Rand) string { return fmt.Sprintf("node%d", r.IntN(1<<40)) }},
	{"product", func(i int, _ *rand.Rand) string { return fmt.Sprintf("rack%dnode%d", i/1000, i%1000) }},
	{"padded product", func(i int, _ *rand.Rand) string {
		return fmt.Sprintf("rack%04d-node%04d.example.org", i/1000, i%1000)
	}},
	{"half of a product", func(i int, r *rand.Rand) string {
		return fmt.Sprintf("rack%dnode%d", i/1000, 2*(i%1000)+r.IntN(2))
	}},
	{"random addresses", func(_ int, r *rand.Rand) string {
		return fmt.Sprintf("10.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256))
	}},
	{"random hex", func(_ int, r *rand.Rand) string { return fmt.Sprintf("i-%08x", r.Uint32()) }},
}

func (k kind) million() []string {
	r := rand.New(rand.NewPCG(1, 2))
	names := make([]string, million)
	for place, i := range r.Perm(million) {
		names[place] = k.of(i, r)
	}
	return names
}

func BenchmarkFoldMillion(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			names := k.million()
			b.ReportAllocs()
			for b.Loop() {
				if expr.Fold(names) == "" {
					b.Fatal("empty")
				}
			}
		})
	}
}

// BenchmarkAlgebraMillion meets two sets of a million names that have half of
// them in common.
func BenchmarkAlgebraMillion(b *testing.B) {
	for _, c := range []struct {
		name string
		op   func(a, b expr.Set) expr.Set
	}{
		{"union", expr.Set.Union},
		{"minus", expr.Set.Minus},
		{"intersect", expr.Set.Intersect},
		{"xor", expr.Set.Xor},
	} {
		left, right := expr.SetOf(kinds[0].million()), expr.SetOf(kinds[1].million())
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.op(left, right)
			}
		})
	}
}

// BenchmarkWildcardMillion matches a million known hosts, listed one by one.
func BenchmarkWildcardMillion(b *testing.B) {
	resolver := expr.NewResolver(mapGroups{"": {"*": strings.Join(kinds[3].million(), ",")}})
	if _, err := resolver.All(""); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if e, err := resolver.Parse("rack[1-500]*?7"); err != nil || e.Len() != 99_900 {
			b.Fatalf("%d names, %v", e.Len(), err)
		}
	}
}

// BenchmarkResolveMillion reads a group's definition of a million single names.
func BenchmarkResolveMillion(b *testing.B) {
	groups := mapGroups{"": {"all": strings.Join(kinds[0].million(), ",")}}
	b.ReportAllocs()
	for b.Loop() {
		if e, err := expr.NewResolver(groups).Parse("@all!node0000007"); err != nil || e.Len() != million-1 {
			b.Fatalf("%d names, %v", e.Len(), err)
		}
	}
}
