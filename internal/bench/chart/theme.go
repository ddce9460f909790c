package chart

import (
	"image/color"
	"slices"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"shoal/internal/bench/report"
)

// A theme has every colour of a picture.
type theme struct {
	ground, ink, muted, grid color.NRGBA
	series                   [8]color.NRGBA
}

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 0xff}
}

// light is based on the palette of Okabe and Ito, darker or lighter where
// needed for a contrast of at least 3:1 with the background.
func light() theme {
	return theme{
		ground: rgb(0xffffff), ink: rgb(0x1c2128), muted: rgb(0x59636e), grid: rgb(0xe4e7eb),
		series: [8]color.NRGBA{
			rgb(0xd55e00), rgb(0x9b4a97), rgb(0x0072b2), rgb(0x00875f),
			rgb(0xa67c00), rgb(0x3a3f8f), rgb(0xb0304f), rgb(0x6b6b6b),
		},
	}
}

func dark() theme {
	return theme{
		ground: rgb(0x14181d), ink: rgb(0xe8ecf0), muted: rgb(0xa3adb8), grid: rgb(0x2c333b),
		series: [8]color.NRGBA{
			rgb(0xff8f40), rgb(0xd98fd4), rgb(0x56b4e9), rgb(0x35d0a0),
			rgb(0xf0d442), rgb(0x9aa2ff), rgb(0xff7f9c), rgb(0xbdbdbd),
		},
	}
}

func pick(isDark bool) theme {
	if isDark {
		return dark()
	}
	return light()
}

// faint returns c for areas below lines.
func faint(c color.NRGBA) color.NRGBA {
	c.A = 0x30
	return c
}

// A look is how one strategy is drawn in every picture.
type look struct {
	colour        color.NRGBA
	glyph, hollow draw.GlyphDrawer
}

// looks returns a look for each strategy of the report. Known strategies look
// the same in all reports.
func (t theme) looks(r *report.Report) map[string]look {
	glyphs := []struct{ full, hollow draw.GlyphDrawer }{
		{draw.CircleGlyph{}, draw.RingGlyph{}},
		{draw.BoxGlyph{}, draw.SquareGlyph{}},
		{draw.PyramidGlyph{}, draw.TriangleGlyph{}},
		{diamond{full: true}, diamond{}},
	}
	known := []string{report.Serial, report.Workers, report.Concurrent, report.Auto}
	all := make(map[string]look)
	next := len(known)
	for _, s := range r.Strategies {
		i := slices.Index(known, s.Name)
		if i < 0 {
			i, next = next, next+1
		}
		g := glyphs[i%len(glyphs)]
		all[s.Name] = look{t.series[i%len(t.series)], g.full, g.hollow}
	}
	return all
}

// diamond draws a square on its corner, filled or not.
type diamond struct{ full bool }

// DrawGlyph implements draw.GlyphDrawer.
func (d diamond) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, pt vg.Point) {
	r := sty.Radius * 1.25
	var p vg.Path
	p.Move(vg.Point{X: pt.X, Y: pt.Y + r})
	p.Line(vg.Point{X: pt.X + r, Y: pt.Y})
	p.Line(vg.Point{X: pt.X, Y: pt.Y - r})
	p.Line(vg.Point{X: pt.X - r, Y: pt.Y})
	p.Close()
	c.SetColor(sty.Color)
	if d.full {
		c.Fill(p)
		return
	}
	c.SetLineStyle(draw.LineStyle{Color: sty.Color, Width: vg.Points(0.5)})
	c.Stroke(p)
}

func lineStyle(c color.Color, points float64, dashes ...vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: vg.Points(points), Dashes: dashes}
}

// sans returns a text style in the plotting library's typeface.
func sans(c color.Color, points float64, bold bool) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return text.Style{Color: c, Font: f, Handler: plot.DefaultTextHandler, XAlign: draw.XLeft, YAlign: draw.YBottom}
}
