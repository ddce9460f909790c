package chart

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"

	"shoal/internal/bench/report"
	"shoal/internal/ui"
)

// A unit is a unit of time with its name.
type unit struct {
	seconds float64
	name    string
}

var units = []unit{
	{1e-9, "ns"}, {1e-6, "µs"}, {1e-3, "ms"}, {1, "s"}, {60, "min"}, {3600, "h"},
}

// text formats a number of seconds in the unit.
func (u unit) text(seconds float64) string {
	return number(seconds/u.seconds) + " " + u.name
}

func number(v float64) string {
	// Without rounding a step of 0.1 would show 0.30000000000000004.
	v = math.Round(v*1e6) / 1e6
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return ui.Count(int64(v))
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// linearTicks marks a linear axis at about a given number of round values.
type linearTicks struct {
	about int
	text  func(axisMax, v float64) string
	unit  func(axisMax float64) float64
}

// Ticks implements plot.Ticker.
func (t linearTicks) Ticks(low, high float64) []plot.Tick {
	one := t.unit(high)
	step := one * niceStep((high-low)/one/float64(t.about))
	var ticks []plot.Tick
	for i := math.Ceil(low/step - 1e-9); i*step <= high*(1+1e-9); i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: t.text(high, i*step)})
	}
	return ticks
}

// niceStep returns the smallest of 1, 2, 5, 10, 20, … that is at least v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= v*(1-1e-9) {
			return factor * power
		}
	}
	return 10 * power
}

// timeTicks marks seconds in a single unit: the largest that fits the axis
// three times.
func timeTicks(about int) plot.Ticker {
	of := func(axisMax float64) unit {
		u := units[0]
		for _, next := range units[1:] {
			if axisMax >= 3*next.seconds || next.seconds <= 1 && axisMax >= next.seconds {
				u = next
			}
		}
		return u
	}
	return linearTicks{
		about: about,
		text:  func(axisMax, v float64) string { return of(axisMax).text(v) },
		unit:  func(axisMax float64) float64 { return of(axisMax).seconds },
	}
}

// plainTicks marks numbers with commas between thousands.
func plainTicks(about int) plot.Ticker {
	return linearTicks{
		about: about,
		text:  func(_, v float64) string { return number(v) },
		unit:  func(float64) float64 { return 1 },
	}
}

// byteTicks marks sizes in MiB.
func byteTicks(about int) plot.Ticker {
	const mib = 1 << 20
	return linearTicks{
		about: about,
		text:  func(_, v float64) string { return number(v/mib) + " MiB" },
		unit:  func(float64) float64 { return mib },
	}
}

// fixedTicks are precomputed ticks.
type fixedTicks []plot.Tick

// Ticks implements plot.Ticker.
func (t fixedTicks) Ticks(low, high float64) []plot.Tick {
	var in []plot.Tick
	for _, tick := range t {
		if tick.Value >= low*(1-1e-9) && tick.Value <= high*(1+1e-9) {
			in = append(in, tick)
		}
	}
	return in
}

// logTimeTicks marks a logarithmic axis of seconds at 1 s, 10 s, 1 min, 10 min
// and so on, and at steps between them if there is room for the labels.
func logTimeTicks(low, high float64) plot.Ticker {
	roomy := math.Log10(high/low) < 2.5
	var ticks fixedTicks
	add := func(u unit, values ...float64) {
		for i, v := range values {
			t := plot.Tick{Value: v * u.seconds}
			if roomy || i == 0 || v == 10 || v == 100 {
				t.Label = u.text(t.Value)
			}
			ticks = append(ticks, t)
		}
	}
	for _, u := range units {
		switch u.name {
		case "s", "min":
			add(u, 1, 2, 5, 10, 20, 30)
		case "h":
			add(u, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
		default:
			add(u, 1, 2, 5, 10, 20, 50, 100, 200, 500)
		}
	}
	return ticks
}

// logCountTicks marks a logarithmic axis of numbers at the powers of ten.
func logCountTicks(low, high float64) plot.Ticker {
	roomy := math.Log10(high/low) < 2.5
	var ticks fixedTicks
	for power := 1.0; power <= 1e12; power *= 10 {
		for factor := 1.0; factor < 10; factor++ {
			t := plot.Tick{Value: factor * power}
			if factor == 1 || roomy && (factor == 2 || factor == 5) {
				t.Label = report.Count(int(t.Value))
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}
