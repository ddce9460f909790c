package stringlist

import (
	"fmt"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	t.Parallel()
	var l List
	var want []string
	for i := range 3*chunkLen + 7 {
		s := fmt.Sprint("node", i)
		switch {
		case i%100 == 99:
			s = ""
		case i == chunkLen-1, i == chunkLen:
			s = strings.Repeat("x", 70_000)
		}
		l.Append(s)
		want = append(want, s)
		if l.Len() != len(want) || l.At(i) != s || l.At(0) != want[0] {
			t.Fatalf("after %d: %d strings, the last %.20q", i, l.Len(), l.At(i))
		}
	}
	for i, s := range want {
		if l.At(i) != s {
			t.Errorf("%d: %.20q, want %.20q", i, l.At(i), s)
		}
	}
}

func BenchmarkAt(b *testing.B) {
	var l List
	for i := range 100_000 {
		l.Append(fmt.Sprintf("node%05d.example.org", i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if len(l.At(i%100_000)) != 21 {
			b.Fatal(i)
		}
	}
}
