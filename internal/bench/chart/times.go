package chart

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"shoal/internal/bench/report"
	"shoal/internal/ui"
)

// timeAxes are the axes of a picture of execution times.
type timeAxes struct {
	log bool
	to  int // hosts at the right end

	minX, maxX, minY, maxY float64
}

// times draws the execution time of each strategy over the number of hosts.
func (p *Picture) times(r *report.Report, a timeAxes) error {
	if !a.fit(r) {
		return ErrNoData
	}
	th, looks := p.theme, p.theme.looks(r)
	p.Title = "Execution time against number of hosts"
	if a.log {
		p.Title = fmt.Sprintf("Execution time, up to %s hosts", report.Count(a.to))
	}
	f := frame{title: p.Title, below: settings(r)}
	pl := a.newPlot(th)
	var ends endLabels
	var places []place
	projects := false
	// Bands first, then lines, then points, so that nothing hides measured
	// values.
	for _, s := range r.Strategies {
		a.addBand(pl.Plot, s, looks[s.Name])
	}
	for _, s := range r.Strategies {
		l := looks[s.Name]
		projects = a.addTrend(pl.Plot, s, l) || projects
		ends.labels = append(ends.labels, a.end(s, l, th)...)
		f.entries = append(f.entries, lineEntry(trendName(s), lineStyle(l.colour, 1.5), l.glyph, l.colour))
	}
	for _, s := range r.Strategies {
		places = append(places, a.addPoints(pl.Plot, s, looks[s.Name])...)
	}
	pl.Add(ends)
	f.entries = append(f.entries, areaEntry("95 % band", faint(th.ink)))
	f.caption = []string{"Points: medians, with bars from the least to the most of the runs. Lines: least squares through all runs. Hollow: cut, or not all outputs right."}
	if projects {
		f.entries = append(f.entries, lineEntry("projected", lineStyle(th.ink, 1.5, 5, 4), nil, th.ink))
	}
	p.paint = func(c draw.Canvas) []Point {
		return locate(places, pl.Plot, pl.draw(f.draw(c, th), th))
	}
	return nil
}

// trendName returns a strategy's name with R² of its line.
func trendName(s report.Strategy) string {
	name := ui.Truncate(ui.Visible(s.Name), 24)
	if s.Trend != nil && s.Trend.HasBand() && !math.IsNaN(s.Trend.R2) {
		name += fmt.Sprintf(" (R² %.4f)", s.Trend.R2)
	}
	return name
}

// fit sets the ranges of the axes. It returns false without data.
func (a *timeAxes) fit(r *report.Report) bool {
	a.minX, a.minY = math.Inf(1), math.Inf(1)
	for _, s := range r.Strategies {
		for _, z := range s.Sizes {
			if z.Measured() {
				a.minX = min(a.minX, float64(z.Hosts))
				a.minY = min(a.minY, z.Wall.Min.Seconds())
				a.maxY = max(a.maxY, z.Wall.Max.Seconds())
			}
		}
		if end, ok := a.last(s); ok {
			a.maxY = max(a.maxY, end)
		}
	}
	a.maxX = float64(a.to)
	switch {
	case a.maxY == 0:
		return false
	case a.log:
		a.minX, a.maxX = a.minX/1.15, a.maxX*1.001
		a.minY, a.maxY = a.minY/1.3, a.maxY*1.3
	default:
		a.minX, a.minY, a.maxX, a.maxY = 0, 0, a.maxX*1.01, a.maxY*1.04
	}
	return true
}

// last returns the trend's time at the right end, in seconds.
func (a *timeAxes) last(s report.Strategy) (float64, bool) {
	if s.Trend == nil || !a.log {
		return 0, false
	}
	v := s.Trend.At(float64(a.to))
	return v, v > 0
}

func (a *timeAxes) newPlot(th theme) labelled {
	p := labelled{th.newPlot(), "number of hosts", "execution time"}
	th.addGrid(p.Plot)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = a.minX, a.maxX, a.minY, a.maxY
	if !a.log {
		p.X.Tick.Marker, p.Y.Tick.Marker = plainTicks(8), timeTicks(7)
		return p
	}
	p.x, p.y = p.x+" (logarithmic)", p.y+" (logarithmic)"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = logCountTicks(a.minX, a.maxX), logTimeTicks(a.minY, a.maxY)
	return p
}

// steps returns positions along the horizontal axis, close enough for a smooth
// line.
func (a *timeAxes) steps(from, to float64) []float64 {
	const n = 120
	all := make([]float64, n+1)
	for i := range all {
		share := float64(i) / n
		if a.log {
			all[i] = from * math.Pow(to/from, share)
		} else {
			all[i] = from + (to-from)*share
		}
	}
	return all
}

// inside clamps a time to the range of the axis: a logarithmic one cannot show
// 0.
func (a *timeAxes) inside(y float64) float64 { return min(max(y, a.minY), a.maxY) }

func (a *timeAxes) addBand(p *plot.Plot, s report.Strategy, l look) {
	if s.Trend == nil || !s.Trend.HasBand() {
		return
	}
	var upper, lower plotter.XYs
	end := s.Trend.To
	if a.log {
		end = a.to
	}
	for _, x := range a.steps(float64(s.Trend.From), float64(end)) {
		low, high := s.Trend.Band(x)
		upper = append(upper, plotter.XY{X: x, Y: a.inside(high)})
		lower = append(lower, plotter.XY{X: x, Y: a.inside(low)})
	}
	for i := len(lower) - 1; i >= 0; i-- {
		upper = append(upper, lower[i])
	}
	p.Add(area{upper, faint(l.colour)})
}

// addTrend draws the line, dashed outside the measured sizes. It reports
// whether there was a dashed part.
func (a *timeAxes) addTrend(p *plot.Plot, s report.Strategy, l look) (projects bool) {
	if s.Trend == nil {
		return false
	}
	line := func(from, to float64, dashes ...vg.Length) {
		var xys plotter.XYs
		for _, x := range a.steps(from, to) {
			if y := s.Trend.At(x); y > 0 {
				xys = append(xys, plotter.XY{X: x, Y: y})
			}
		}
		if len(xys) > 1 {
			p.Add(&plotter.Line{XYs: xys, LineStyle: lineStyle(l.colour, 1.5, dashes...)})
		}
	}
	line(float64(s.Trend.From), float64(s.Trend.To))
	if a.to > s.Trend.To && a.log {
		line(float64(s.Trend.To), float64(a.to), 5, 4)
		return true
	}
	return false
}

// end returns a strategy's label at the right end, with its time there.
func (a *timeAxes) end(s report.Strategy, l look, th theme) []endLabel {
	name := ui.Truncate(ui.Visible(s.Name), 16)
	if z, ok := s.At(a.to); ok && z.Measured() {
		return []endLabel{{z.Wall.Median.Seconds(), fmt.Sprintf("%s %s", name, report.Time(z.Wall.Median)), "measured", l.colour, th.muted}}
	}
	if y, ok := a.last(s); ok {
		return []endLabel{{y, fmt.Sprintf("%s ~%s", name, report.Time(secondsOf(y))), "projected", l.colour, th.muted}}
	}
	return nil
}

// addPoints draws the measured values and returns their positions.
func (a *timeAxes) addPoints(p *plot.Plot, s report.Strategy, l look) []place {
	var places []place
	for _, z := range s.Sizes {
		if !z.Measured() {
			continue
		}
		x, y := float64(z.Hosts), z.Wall.Median.Seconds()
		shape := l.glyph
		if !z.Right {
			shape = l.hollow
		}
		p.Add(&plotter.YErrorBars{
			XYs:       plotter.XYs{{X: x, Y: y}},
			YErrors:   plotter.YErrors{{Low: y - z.Wall.Min.Seconds(), High: z.Wall.Max.Seconds() - y}},
			LineStyle: lineStyle(l.colour, 1), CapWidth: vg.Points(6),
		}, &plotter.Scatter{
			XYs:        plotter.XYs{{X: x, Y: y}},
			GlyphStyle: draw.GlyphStyle{Color: l.colour, Radius: vg.Points(3.6), Shape: shape},
		})
		places = append(places, place{x, y, s.Name, pointText(s, z)})
	}
	if y, ok := a.last(s); ok && a.to > s.Trend.To {
		places = append(places, place{float64(a.to), y, s.Name, fmt.Sprintf("%s, %s hosts: projected ~%s, not measured; %s runs a day",
			s.Name, report.Count(a.to), report.Time(secondsOf(y)), report.Often(report.RunsADay(secondsOf(y))))})
	}
	return places
}

func pointText(s report.Strategy, z report.Size) string {
	text := fmt.Sprintf("%s, %s hosts: %s", s.Name, report.Count(z.Hosts), report.Time(z.Wall.Median))
	if z.Wall.N > 1 {
		text += fmt.Sprintf(" (median of %d runs, %s to %s)", z.Wall.N, report.Time(z.Wall.Min), report.Time(z.Wall.Max))
	}
	if z.SpeedUp > 0 && s.Name != report.Serial {
		text += fmt.Sprintf("; %s faster than serial", report.Times(z.SpeedUp))
	}
	if z.CPUPerHost > 0 {
		text += fmt.Sprintf("; %s of CPU a host", report.Time(z.CPUPerHost))
	}
	if !z.Right {
		text += fmt.Sprintf("; %s outputs right", report.Count(z.Correct))
	}
	return text
}
