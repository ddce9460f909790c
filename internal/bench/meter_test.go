package bench

import (
	"testing"
	"time"

	"shoal/internal/bench/benchrecord"
)

func TestSeriesIsBounded(t *testing.T) {
	s := newSeries()
	var clock time.Duration
	n := 0
	for clock < time.Hour {
		s.add(benchrecord.Sample{At: clock})
		n++
		if len(s.samples) >= maxSamples {
			t.Fatalf("%d samples at %v", len(s.samples), clock)
		}
		clock += s.every
	}
	if len(s.samples) < maxSamples/2 || s.samples[0].At != 0 {
		t.Errorf("%d samples from %v on", len(s.samples), s.samples[0].At)
	}
	for i := 1; i < len(s.samples); i++ {
		if gap := s.samples[i].At - s.samples[i-1].At; gap <= 0 || gap > time.Hour/50 {
			t.Errorf("a gap of %v before sample %d", gap, i)
		}
	}
	if n > 1500 {
		t.Errorf("%d samples were taken in an hour", n)
	}
}

func TestSeriesOfAShortPoint(t *testing.T) {
	s := newSeries()
	for clock := time.Duration(0); clock <= 100*time.Millisecond; clock += s.every {
		s.add(benchrecord.Sample{At: clock})
	}
	if len(s.samples) != 11 {
		t.Errorf("%d samples in 100 ms", len(s.samples))
	}
}
