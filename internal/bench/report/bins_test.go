package report

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every duration is in exactly one bin; bins are ascending and disjoint, and
// none is much wider than a tenth of a decade.
func TestBins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(1, int64(time.Hour)), 1, 50).Draw(t, "values")
		slices.Sort(values)
		durations := make([]time.Duration, len(values))
		for i, v := range values {
			durations[i] = time.Duration(v)
		}
		rest := durations
		var end time.Duration
		for _, b := range binsOf(durations) {
			if b.From < end || b.To <= b.From || b.Hosts < 1 || b.Hosts > len(rest) {
				t.Fatalf("bin %+v after %v with %d left", b, end, len(rest))
			}
			if b.From > 100 && float64(b.To) > 1.28*float64(b.From) {
				t.Fatalf("bin %+v is too wide", b)
			}
			for _, v := range rest[:b.Hosts] {
				if v < b.From || v >= b.To {
					t.Fatalf("%v is counted in %v to %v", v, b.From, b.To)
				}
			}
			rest, end = rest[b.Hosts:], b.To
		}
		if len(rest) > 0 {
			t.Fatalf("%d durations are in no bin", len(rest))
		}
	})
}

func TestBinsOfOneValue(t *testing.T) {
	got := binsOf([]time.Duration{1000, 1000, 1200})
	want := []Bin{{From: 1000, To: 1259, Hosts: 3}}
	if !slices.Equal(got, want) {
		t.Errorf("bins %v, want %v", got, want)
	}
}
