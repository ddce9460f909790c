package hostset_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"shoal/hostset"
)

const million = 1_000_000

func BenchmarkExpandMillion(b *testing.B) {
	for _, expr := range []string{
		"node[0000001-1000000]",
		"root@rack[1-1000]node[1-1000].example.org:2222",
	} {
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if names, err := hostset.Expand(expr); err != nil || len(names) != million {
					b.Fatalf("%d names, %v", len(names), err)
				}
			}
		})
	}
}

func BenchmarkFoldMillion(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	shuffled := make([]string, million)
	sparse := make([]string, million)
	racks := make([]string, million)
	addresses := make([]string, million)
	hashes := make([]string, million)
	for i, place := range random.Perm(million) {
		shuffled[place] = fmt.Sprintf("node%07d", i)
		racks[place] = fmt.Sprintf("rack%dnode%d", i/1000, i%1000)
		sparse[i] = fmt.Sprintf("node%d", random.IntN(1<<40))
		addresses[i] = fmt.Sprintf("10.%d.%d.%d", random.IntN(256), random.IntN(256), random.IntN(256))
		hashes[i] = fmt.Sprintf("i-%08x", random.Uint32())
	}
	for _, c := range []struct {
		name  string
		names []string
	}{
		{"one range", shuffled},
		{"no two adjacent", sparse},
		{"product", racks},
		{"random addresses", addresses},
		{"random hex", hashes},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if hostset.Fold(c.names) == "" {
					b.Fatal("empty")
				}
			}
		})
	}
}
