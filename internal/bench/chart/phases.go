package chart

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"shoal/fleet"
	"shoal/internal/bench/report"
	"shoal/internal/ui"
)

// phases draws the duration of each phase: a row for each phase, with a
// histogram above a bar of the quantiles for each strategy.
func (p *Picture) phases(r *report.Report) error {
	bars, rows := quantileBarsOf(r, p.theme.looks(r))
	if len(bars) == 0 {
		return ErrNoData
	}
	th := p.theme
	p.Title = "Duration of each phase of a host, at each strategy's largest size"
	p.height = max(vg.Length(150+(14+14*len(r.Strategies))*len(rows)), 320)
	f := frame{title: p.Title, below: settings(r), caption: []string{
		"Hills: the share of the hosts in bins of a tenth of a decade, the largest bin of each as high as its place.",
		"Marker: half of the hosts took no longer (p50). Thick bar: to p90. Thin line: to p99. Dots: to the slowest host.",
	}}
	looks := th.looks(r)
	for _, s := range r.Strategies {
		if len(s.Phases) > 0 {
			l := looks[s.Name]
			name := fmt.Sprintf("%s, %s hosts", ui.Truncate(ui.Visible(s.Name), 24), report.Count(s.Sizes[len(s.Sizes)-1].Hosts))
			f.entries = append(f.entries, lineEntry(name, lineStyle(l.colour, 3), l.glyph, l.colour))
		}
	}
	pl := labelled{th.newPlot(), "duration (logarithmic)", ""}
	low, high := math.Inf(1), 0.0
	var places []place
	for _, b := range bars {
		low, high = min(low, b.Bins[0].From.Seconds()), max(high, b.Max.Seconds())
		places = append(places, place{b.P50.Seconds(), b.y, b.series, fmt.Sprintf(
			"%s, %s of %s hosts: p50 %s, p90 %s, p99 %s, max %s", b.series, b.Phase.Phase, report.Count(b.Hosts),
			report.Time(b.P50), report.Time(b.P90), report.Time(b.P99), report.Time(b.Max))})
	}
	pl.X.Min, pl.X.Max = low/1.4, high*1.4
	pl.Y.Min, pl.Y.Max = -float64(len(rows))+0.5, 0.5
	pl.X.Scale = plot.LogScale{}
	pl.X.Tick.Marker = logTimeTicks(pl.X.Min, pl.X.Max)
	var names fixedTicks
	for i, phase := range rows {
		names = append(names, plot.Tick{Value: -float64(i), Label: phase.String()})
	}
	pl.Y.Tick.Marker = names
	th.addGrid(pl.Plot)
	pl.Add(bars)
	p.paint = func(c draw.Canvas) []Point {
		return locate(places, pl.Plot, pl.draw(f.draw(c, th), th))
	}
	return nil
}

// A quantileBar is one strategy's part of a phase's row.
type quantileBar struct {
	report.Phase
	series string
	look   look
	y      float64
	room   float64 // above y, for the histogram
}

type quantileBars []quantileBar

// quantileBarsOf returns the bars, and the rows: every phase that any strategy
// reached.
func quantileBarsOf(r *report.Report, looks map[string]look) (bars quantileBars, rows []fleet.Phase) {
	for phase := fleet.PhaseResolve; phase < fleet.NumPhases; phase++ {
		var row quantileBars
		for i, s := range r.Strategies {
			for _, q := range s.Phases {
				if q.Phase == phase {
					// The strategies share most of the row; a bar is at the bottom
					// of its share.
					share := 0.9 / float64(len(r.Strategies))
					foot := -float64(len(rows)) + 0.45 - float64(i+1)*share
					row = append(row, quantileBar{q, s.Name, looks[s.Name], foot, share * 0.7})
				}
			}
		}
		if len(row) > 0 {
			bars, rows = append(bars, row...), append(rows, phase)
		}
	}
	return bars, rows
}

// Plot implements plot.Plotter.
func (bars quantileBars) Plot(c draw.Canvas, p *plot.Plot) {
	trX, trY := p.Transforms(&c)
	for _, b := range bars {
		b.hills(c, trX, trY)
	}
	for _, b := range bars {
		y, colour := trY(b.y), b.look.colour
		p50, p90 := trX(b.P50.Seconds()), trX(b.P90.Seconds())
		p99, most := trX(b.P99.Seconds()), trX(b.Max.Seconds())
		wide := lineStyle(faint(colour), 5)
		c.StrokeLine2(lineStyle(colour, 1), p90, y, p99, y)
		c.StrokeLine2(wide, p50, y, p90, y)
		c.StrokeLine2(lineStyle(colour, 1), p50, y, p90, y)
		c.StrokeLine2(lineStyle(colour, 1), p90, y-2.5, p90, y+2.5)
		c.StrokeLine2(lineStyle(colour, 0.75, 1, 2), p99, y, most, y)
		c.StrokeLine2(lineStyle(colour, 1), most, y-3, most, y+3)
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: colour, Radius: 2.8, Shape: b.look.glyph}, vg.Point{X: p50, Y: y})
	}
}

// hills draws the histogram, scaled to its room.
func (b quantileBar) hills(c draw.Canvas, trX, trY func(float64) vg.Length) {
	most := 0
	for _, bin := range b.Bins {
		most = max(most, bin.Hosts)
	}
	for _, bin := range b.Bins {
		left, right := trX(bin.From.Seconds()), trX(bin.To.Seconds())
		foot, top := trY(b.y), trY(b.y+b.room*float64(bin.Hosts)/float64(most))
		c.FillPolygon(faint(b.look.colour), c.ClipPolygonX([]vg.Point{
			{X: left, Y: foot}, {X: left, Y: top}, {X: right, Y: top}, {X: right, Y: foot},
		}))
	}
}
