package chart

import (
	"slices"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

func labels(ticks []plot.Tick) []string {
	var all []string
	for _, tick := range ticks {
		if tick.Label != "" {
			all = append(all, tick.Label)
		}
	}
	return all
}

func TestTicks(t *testing.T) {
	for name, c := range map[string]struct {
		ticker    plot.Ticker
		low, high float64
		want      []string
	}{
		"seconds":     {timeTicks(7), 0, 25.4, []string{"0 s", "5 s", "10 s", "15 s", "20 s", "25 s"}},
		"milli":       {timeTicks(4), 0, 0.42, []string{"0 ms", "200 ms", "400 ms"}},
		"minutes":     {timeTicks(7), 0, 1210, []string{"0 min", "5 min", "10 min", "15 min", "20 min"}},
		"hours":       {timeTicks(5), 0, 14400, []string{"0 h", "1 h", "2 h", "3 h", "4 h"}},
		"tenths":      {timeTicks(5), 0, 1.3, []string{"0 s", "0.5 s", "1 s"}},
		"hosts":       {plainTicks(6), 0, 10100, []string{"0", "2,000", "4,000", "6,000", "8,000", "10,000"}},
		"bytes":       {byteTicks(4), 0, 35 << 20, []string{"0 MiB", "10 MiB", "20 MiB", "30 MiB"}},
		"log time":    {logTimeTicks(0.08, 1500), 0.08, 1500, []string{"100 ms", "1 s", "10 s", "1 min", "10 min"}},
		"log roomy":   {logTimeTicks(1, 100), 1, 100, []string{"1 s", "2 s", "5 s", "10 s", "20 s", "30 s", "1 min"}},
		"log far":     {logTimeTicks(0.1, 2e5), 0.1, 2e5, []string{"100 ms", "1 s", "10 s", "1 min", "10 min", "1 h", "10 h"}},
		"log hosts":   {logCountTicks(8.7, 10010), 8.7, 10010, []string{"10", "100", "1,000", "10,000"}},
		"log million": {logCountTicks(8.7, 1.001e6), 8.7, 1.001e6, []string{"10", "100", "1,000", "10,000", "100,000", "1,000,000"}},
	} {
		if got := labels(c.ticker.Ticks(c.low, c.high)); !slices.Equal(got, c.want) {
			t.Errorf("%s: the ticks are %q, want %q", name, got, c.want)
		}
	}
}

func TestEndLabelsDoNotOverlap(t *testing.T) {
	for _, at := range [][]vg.Length{{100}, {100, 101, 102, 103}, {0, 1}, {299, 300}, {10, 11, 150, 290, 295}} {
		got := slices.Clone(at)
		spread(got, 12, 288)
		for i, y := range got {
			if y < 12 || y > 288 {
				t.Errorf("%v: %v is outside", at, y)
			}
			if i > 0 && y-got[i-1] < endLines-1e-9 {
				t.Errorf("%v: %v and %v overlap", at, got[i-1], y)
			}
		}
	}
}
