package transfer

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
)

// Large files are hashed aside, as many at a time as there are processors, and all digests are right.
func TestSummers(t *testing.T) {
	t.Parallel()
	p := &Push{}
	var open []summer
	for i := range runtime.GOMAXPROCS(0) + 2 {
		s := p.newSummer(alongFrom)
		if _, aside := s.(*hashing); aside != (i < runtime.GOMAXPROCS(0)) {
			t.Errorf("summer %d is aside: %v", i, aside)
		}
		open = append(open, s)
	}
	if _, aside := p.newSummer(alongFrom - 1).(*hashing); aside {
		t.Error("a small file is hashed aside")
	}
	for i, s := range open {
		want := sha256.New()
		b := make([]byte, 1000)
		for n := range 3 * hashingParts {
			b[0] = byte(i + n)
			_, _ = want.Write(b[:900+n])
			if k, err := s.Write(b[:900+n]); k != 900+n || err != nil {
				t.Error(k, err)
			}
			clear(b) // the writer does not keep it
		}
		if got := s.sum(); got != fmt.Sprintf("%x", want.Sum(nil)) {
			t.Errorf("summer %d: %s", i, got)
		}
	}
	s, aside := p.newSummer(alongFrom).(*hashing)
	if !aside {
		t.Fatal("sum has not made room for another")
	}
	s.sum()
}
