package report

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %v, want %v ± %v", what, got, want, tolerance)
	}
}

// The figures were computed by hand; t(0.975, 3) = 3.182446 is from a table.
func TestFitByHand(t *testing.T) {
	trend, ok := Fit([]int{1, 2, 3, 4, 5}, []float64{2, 4, 5, 4, 5})
	if !ok {
		t.Fatal("no trend")
	}
	near(t, "A", trend.A, 2.2, 1e-12)
	near(t, "B", trend.B, 0.6, 1e-12)
	near(t, "R²", trend.R2, 0.6, 1e-12)
	for _, c := range []struct{ at, half float64 }{{3, 1.272979}, {5, 2.204863}, {20, 15.355097}} {
		low, high := trend.Band(c.at)
		near(t, "middle of the band", (low+high)/2, trend.At(c.at), 1e-9)
		near(t, "half of the band", (high-low)/2, c.half, 1e-5)
	}
	if trend.From != 1 || trend.To != 5 || trend.Runs != 5 {
		t.Errorf("the trend is of %d runs from %d to %d", trend.Runs, trend.From, trend.To)
	}
}

func TestFitNeedsTwoSizes(t *testing.T) {
	for _, hosts := range [][]int{nil, {10}, {10, 10, 10}} {
		if trend, ok := Fit(hosts, make([]float64, len(hosts))); ok {
			t.Errorf("%v has the trend %+v", hosts, trend)
		}
	}
	trend, ok := Fit([]int{10, 20}, []float64{1, 2})
	if !ok || trend.HasBand() || !math.IsNaN(trend.R2) {
		t.Errorf("two runs have the trend %+v, %v; they have a line and nothing to judge it by", trend, ok)
	}
	near(t, "slope through two runs", trend.B, 0.1, 1e-12)
}

func TestFitFindsExactLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float64Range(0, 10).Draw(t, "a"), rapid.Float64Range(0.001, 1).Draw(t, "b")
		hosts := rapid.SliceOfNDistinct(rapid.IntRange(1, 10000), 3, 20, rapid.ID).Draw(t, "hosts")
		walls := make([]float64, len(hosts))
		for i, n := range hosts {
			walls[i] = a + b*float64(n)
		}
		trend, ok := Fit(hosts, walls)
		if !ok || math.Abs(trend.A-a) > 1e-6 || math.Abs(trend.B-b) > 1e-8 || trend.R2 < 1-1e-9 {
			t.Fatalf("%v + %v × hosts is found as %+v, %v", a, b, trend, ok)
		}
	})
}

// The band has to contain the true line with its stated probability.
func TestBandCoverage(t *testing.T) {
	const trials, a, b, deviation = 4000, 0.2, 0.01, 0.3
	random := rand.New(rand.NewPCG(7, 7))
	hosts := []int{10, 10, 50, 50, 100, 100, 200, 200}
	for _, at := range []float64{10, 200, 10000} {
		held := 0
		for range trials {
			walls := make([]float64, len(hosts))
			for i, n := range hosts {
				walls[i] = a + b*float64(n) + deviation*random.NormFloat64()
			}
			trend, _ := Fit(hosts, walls)
			if low, high := trend.Band(at); low <= a+b*at && a+b*at <= high {
				held++
			}
		}
		near(t, "coverage", float64(held)/trials, Confidence, 0.012)
	}
}
