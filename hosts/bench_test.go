package hosts_test

import (
	"fmt"
	"strings"
	"testing"

	"shoal/hosts"
)

// BenchmarkHostFile reads 100,000 lines, half of them duplicates (I01).
func BenchmarkHostFile(b *testing.B) {
	var text strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&text, "node%05d.example.org # rack %d\r\nnode%05d.example.org:22\n", i, i/40, i)
	}
	path := write(b, text.String())
	b.ReportAllocs()
	for b.Loop() {
		l, err := hosts.Load(hosts.Options{Files: []string{path}})
		if err != nil || l.Len() != 50_000 || len(l.Notices) != 1 {
			b.Fatal(err)
		}
	}
}

// BenchmarkRange loads hosts from one expression.
func BenchmarkRange(b *testing.B) {
	for _, n := range []int{60_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l, err := hosts.Load(hosts.Options{Hosts: []string{fmt.Sprintf("root@node[1-%d]:22", n)}})
				if err != nil || l.Len() != n {
					b.Fatal(err)
				}
			}
		})
	}
}
