package chart

import (
	"image/color"

	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"shoal/internal/bench/report"
	"shoal/internal/ui"
)

// A frame is what surrounds a plot: title, subtitle, legend and caption. It is
// drawn outside the plot, so that it covers no data.
type frame struct {
	title, below string
	entries      []entry
	caption      []string
}

// An entry is an entry of the legend.
type entry struct {
	name string
	draw func(c draw.Canvas) // into a canvas of the size of a thumbnail
}

const (
	margin     = vg.Length(14)
	thumbWidth = vg.Length(24)
	entryGap   = vg.Length(13)
)

// draw paints the frame and returns the remaining canvas.
func (f frame) draw(c draw.Canvas, th theme) draw.Canvas {
	fill(c, th.ground)
	c = draw.Crop(c, margin, -margin, margin, -margin)
	c = top(c, sans(th.ink, 15, true), f.title, 3)
	c = top(c, sans(th.muted, 9.5, false), f.below, 8)
	c = f.legend(c, sans(th.ink, 10, false))
	for i := len(f.caption) - 1; i >= 0; i-- {
		sty := sans(th.muted, 8.5, false)
		c.FillText(sty, vg.Point{X: c.Min.X, Y: c.Min.Y}, fit(sty, f.caption[i], c.Size().X))
		c.Min.Y += sty.Font.Size * 1.35
	}
	if len(f.caption) > 0 {
		c.Min.Y += 6
	}
	return c
}

// top writes one line at the top and returns the canvas below it.
func top(c draw.Canvas, sty text.Style, line string, gap vg.Length) draw.Canvas {
	sty.YAlign = draw.YTop
	c.FillText(sty, vg.Point{X: c.Min.X, Y: c.Max.Y}, fit(sty, line, c.Size().X))
	c.Max.Y -= sty.Font.Size*1.2 + gap
	return c
}

// fit truncates a line that is too long.
func fit(sty text.Style, line string, width vg.Length) string {
	for columns := ui.Width(line); columns > 0 && sty.Width(line) > width; columns-- {
		line = ui.Truncate(line, columns)
	}
	return line
}

// legend draws the entries side by side, in as many rows as needed.
func (f frame) legend(c draw.Canvas, sty text.Style) draw.Canvas {
	height := sty.Font.Size * 1.5
	x, y := c.Min.X, c.Max.Y-height
	for _, e := range f.entries {
		width := thumbWidth + 5 + sty.Width(e.name)
		if x > c.Min.X && x+width > c.Max.X {
			x, y = c.Min.X, y-height
		}
		thumb := c
		thumb.Rectangle = vg.Rectangle{Min: vg.Point{X: x, Y: y}, Max: vg.Point{X: x + thumbWidth, Y: y + height}}
		e.draw(thumb)
		middle := sty
		middle.YAlign = draw.YCenter
		c.FillText(middle, vg.Point{X: x + thumbWidth + 5, Y: y + height/2}, e.name)
		x += width + entryGap
	}
	if len(f.entries) > 0 {
		c.Max.Y = y - 8
	}
	return c
}

// lineEntry shows a line with a marker; either may be missing.
func lineEntry(name string, sty draw.LineStyle, shape draw.GlyphDrawer, colour color.Color) entry {
	return entry{name, func(c draw.Canvas) {
		y := c.Center().Y
		c.StrokeLine2(sty, c.Min.X, y, c.Max.X, y)
		if shape != nil {
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: colour, Radius: 4, Shape: shape}, c.Center())
		}
	}}
}

// areaEntry shows a filled box.
func areaEntry(name string, colour color.Color) entry {
	return entry{name, func(c draw.Canvas) { fill(draw.Crop(c, 0, 0, 3, -3), colour) }}
}

// settings describes the measurement in one line.
func settings(r *report.Report) string {
	h := r.Header()
	line := h.Settings.Command + "  ·  " + report.Servers(h) + "  ·  " + report.MachineText(h) + "  ·  " + h.Program
	return ui.Visible(line)
}
