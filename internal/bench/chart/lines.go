package chart

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"shoal/internal/ui"
)

// A Line is one line of DrawLines, from left to right.
type Line struct {
	Name string
	X, Y []float64 // as many of one as of the other
}

// Lines are what DrawLines draws: values that should stay what they are while x doubles.
type Lines struct {
	Title, Below string // two lines above
	X, Y         string // names of the axes; that of x is logarithmic, and y begins at 0
	Lines        []Line
	// Flat draws an area for each line, from its least value to this much above, such as 0.2. 0 draws none.
	Flat    float64
	Caption []string
	// Text is a value of y as the right end has it.
	Text func(y float64) string
}

// DrawLines draws lines over a logarithmic axis whose marks are at their points. The error is ErrNoData if there
// is no point.
func DrawLines(l Lines, o Options) (*Picture, error) {
	p := &Picture{Title: l.Title, theme: pick(o.Dark), width: 760, height: 480}
	th := p.theme
	pl := labelled{th.newPlot(), l.X, l.Y}
	glyphs := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, diamond{full: true}}
	f := frame{title: l.Title, below: ui.Visible(l.Below), caption: l.Caption}
	low, high, top := math.Inf(1), 0.0, 0.0
	var marks fixedTicks
	var places []place
	var ends endLabels
	th.addGrid(pl.Plot)
	for i, line := range l.Lines {
		if len(line.X) == 0 {
			continue
		}
		least := math.Inf(1)
		var xys plotter.XYs
		for j, x := range line.X {
			y := line.Y[j]
			low, high, top, least = min(low, x), max(high, x), max(top, y), min(least, y)
			xys = append(xys, plotter.XY{X: x, Y: y})
			marks = append(marks, plot.Tick{Value: x, Label: number(x)})
			places = append(places, place{x, y, line.Name, line.Name + ", " + number(x) + ": " + l.Text(y)})
		}
		colour := th.series[i%len(th.series)]
		first, last := xys[0], xys[len(xys)-1]
		if most := least * (1 + l.Flat); l.Flat > 0 {
			top = max(top, most)
			pl.Add(area{plotter.XYs{{X: first.X, Y: least}, {X: last.X, Y: least}, {X: last.X, Y: most}, {X: first.X, Y: most}}, faint(colour)})
		}
		glyph := glyphs[i%len(glyphs)]
		pl.Add(&plotter.Line{XYs: xys, LineStyle: lineStyle(colour, 1.5)},
			&plotter.Scatter{XYs: xys, GlyphStyle: draw.GlyphStyle{Color: colour, Radius: vg.Points(3.6), Shape: glyph}})
		f.entries = append(f.entries, lineEntry(line.Name, lineStyle(colour, 1.5), glyph, colour))
		ends.labels = append(ends.labels, endLabel{last.Y, line.Name, l.Text(last.Y), colour, th.muted})
	}
	if top == 0 {
		return nil, ErrNoData
	}
	pl.Add(ends)
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = low/1.05, high*1.05, 0, top*1.08
	pl.X.Scale = plot.LogScale{}
	pl.X.Tick.Marker, pl.Y.Tick.Marker = marks, plainTicks(7)
	p.paint = func(c draw.Canvas) []Point {
		return locate(places, pl.Plot, pl.draw(f.draw(c, th), th))
	}
	p.place()
	return p, nil
}
