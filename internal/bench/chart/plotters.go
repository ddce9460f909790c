package chart

import (
	"cmp"
	"image/color"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// A place is a point in the units of the axes.
type place struct {
	x, y   float64
	series string
	text   string
}

// locate returns where the plot draws the places.
func locate(places []place, p *plot.Plot, c draw.Canvas) []Point {
	x, y := p.Transforms(&c)
	points := make([]Point, len(places))
	for i, at := range places {
		points[i] = Point{X: x(at.x).Points(), Y: y(at.y).Points(), Series: at.series, Text: at.text}
	}
	return points
}

// An area is filled without an outline.
type area struct {
	outline plotter.XYs
	colour  color.Color
}

// Plot implements plot.Plotter.
func (a area) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	points := make([]vg.Point, len(a.outline))
	for i, at := range a.outline {
		points[i] = vg.Point{X: x(at.X), Y: y(at.Y)}
	}
	c.FillPolygon(a.colour, c.ClipPolygonXY(points))
}

// endLabels are labels to the right of the data, each at the end of its line;
// overlapping ones are moved apart.
type endLabels struct{ labels []endLabel }

type endLabel struct {
	y           float64
	first, then string // two lines
	colour      color.NRGBA
	muted       color.NRGBA
}

func (l endLabel) styles() (first, then text.Style) {
	first, then = sans(l.colour, 10, true), sans(l.muted, 8.5, false)
	then.YAlign = draw.YTop
	return first, then
}

const (
	endGap   = vg.Length(8)
	endLines = vg.Length(24) // the height of two lines
)

// Plot implements plot.Plotter.
func (e endLabels) Plot(c draw.Canvas, p *plot.Plot) {
	_, trY := p.Transforms(&c)
	labels := slices.Clone(e.labels)
	slices.SortStableFunc(labels, func(a, b endLabel) int { return cmp.Compare(a.y, b.y) })
	at := make([]vg.Length, len(labels))
	for i, l := range labels {
		at[i] = trY(l.y)
	}
	spread(at, c.Min.Y+endLines/2, c.Max.Y-endLines/2)
	x := c.Max.X + endGap
	for i, l := range labels {
		first, then := l.styles()
		c.StrokeLine2(lineStyle(l.colour, 0.5), c.Max.X+1, trY(l.y), x-1, at[i])
		c.FillText(first, vg.Point{X: x, Y: at[i]}, l.first)
		c.FillText(then, vg.Point{X: x, Y: at[i]}, l.then)
	}
}

// spread moves ascending positions apart to at least endLines, and keeps them
// between low and high as long as they fit.
func spread(at []vg.Length, low, high vg.Length) {
	floor := low
	for i := range at {
		at[i] = max(at[i], floor)
		floor = at[i] + endLines
	}
	ceiling := high
	for i := len(at) - 1; i >= 0; i-- {
		at[i] = min(at[i], ceiling)
		ceiling = at[i] - endLines
	}
}

// GlyphBoxes implements plot.GlyphBoxer: it reserves the space for the labels.
func (e endLabels) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	var width vg.Length
	for _, l := range e.labels {
		first, then := l.styles()
		width = max(width, first.Width(l.first), then.Width(l.then))
	}
	if width == 0 {
		return nil
	}
	return []plot.GlyphBox{{X: 1, Y: 0.5, Rectangle: vg.Rectangle{Max: vg.Point{X: width + endGap, Y: 1}}}}
}
