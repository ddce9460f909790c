package chart

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// newPlot returns an empty plot in the theme's colours. It adds the grid first,
// so that data is drawn above it.
func (t theme) newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Tick.Color = t.muted, t.muted
		a.Width, a.Tick.Width = vg.Points(0.75), vg.Points(0.75)
		a.Tick.Length = vg.Points(5)
		a.Padding = vg.Points(4)
		keepAlign(&a.Tick.Label, sans(t.muted, 9.5, false))
	}
	keepAlign(&p.Title.TextStyle, sans(t.ink, 10.5, true))
	return p
}

// keepAlign copies a style except for the text alignment.
func keepAlign(sty *draw.TextStyle, to draw.TextStyle) {
	to.XAlign, to.YAlign = sty.XAlign, sty.YAlign
	*sty = to
}

func (t theme) addGrid(p *plot.Plot) {
	p.Add(&plotter.Grid{Vertical: lineStyle(t.grid, 0.75), Horizontal: lineStyle(t.grid, 0.75)})
}

// A labelled is a plot with axis names drawn beside it. The plotting library's
// own names are not used: on a logarithmic axis it centres them at the middle
// value instead of the middle of the axis, and leaves an empty space.
type labelled struct {
	*plot.Plot
	x, y string
}

// room is the space for a name beside its axis.
const room = vg.Length(19)

// draw paints the plot and the names, and returns the data area.
func (l labelled) draw(c draw.Canvas, t theme) draw.Canvas {
	inner := l.inner(c)
	l.Draw(inner)
	data := l.DataCanvas(inner)
	sty := sans(t.ink, 10.5, false)
	sty.XAlign = draw.XCenter
	if l.x != "" {
		c.FillText(sty, vg.Point{X: data.Center().X, Y: c.Min.Y}, l.x)
	}
	if l.y != "" {
		sty.YAlign, sty.Rotation = draw.YTop, math.Pi/2
		c.FillText(sty, vg.Point{X: c.Min.X, Y: data.Center().Y}, l.y)
	}
	return data
}

func (l labelled) inner(c draw.Canvas) draw.Canvas {
	left, bottom := vg.Length(0), vg.Length(0)
	if l.y != "" {
		left = room
	}
	if l.x != "" {
		bottom = room
	}
	return draw.Crop(c, left, 0, bottom, 0)
}
