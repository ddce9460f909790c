package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"shoal/internal/bench/report"
)

// A Kind says what a picture shows.
type Kind string

// The kinds.
const (
	Measured  Kind = "measured"  // execution time against hosts, linear axes, what was measured
	Projected Kind = "projected" // the same with logarithmic axes, up to Options.To
	Phases    Kind = "phases"    // how long each phase of a host took
	Resources Kind = "resources" // CPU, memory and open files over time
)

// Kinds lists them all in the order in which they are read.
func Kinds() []Kind { return []Kind{Measured, Projected, Phases, Resources} }

// ErrNoData says that the records hold nothing of what a picture would show.
var ErrNoData = errors.New("the records hold nothing to draw")

// Options say how to draw. The zero value is a light picture up to report.Target
// hosts.
type Options struct {
	Dark bool
	To   int // where Projected ends, in hosts; 0 means report.Target; never below the largest size
}

// A Picture is ready to be written in any format.
type Picture struct {
	Kind  Kind
	Title string
	// Points are what a reader may ask the value of. Measured points are all
	// there, whatever their marks hide.
	Points []Point

	theme         theme
	width, height vg.Length
	paint         func(draw.Canvas) []Point
}

// A Point is a place of a picture and what is there.
type Point struct {
	X, Y   float64 // from the top left corner, in the units of the SVG's viewBox
	Series string  // the strategy
	Text   string  // for people
}

// Draw makes a picture of one kind. The error is ErrNoData when there is nothing
// to show in it.
func Draw(r *report.Report, k Kind, o Options) (*Picture, error) {
	p := &Picture{Kind: k, theme: pick(o.Dark), width: 760, height: 480}
	var err error
	switch k {
	case Measured:
		err = p.times(r, timeAxes{log: false, to: r.Sizes[len(r.Sizes)-1]})
	case Projected:
		to := o.To
		if to <= 0 {
			to = report.Target
		}
		err = p.times(r, timeAxes{log: true, to: max(to, r.Sizes[len(r.Sizes)-1])})
	case Phases:
		err = p.phases(r)
	case Resources:
		err = p.resources(r)
	default:
		err = fmt.Errorf("unknown kind of picture %q", string(k))
	}
	if err != nil {
		return nil, err
	}
	// The places of the points are known once everything has been laid out.
	p.Points = p.paint(draw.New(vgsvg.New(p.width, p.height)))
	for i := range p.Points {
		p.Points[i].Y = float64(p.height) - p.Points[i].Y
	}
	return p, nil
}

// dotsPerInch makes a PNG of 1,520 pixels' width.
const dotsPerInch = 144

// WritePNG writes the picture as PNG.
func (p *Picture) WritePNG(w io.Writer) error {
	c := vgimg.NewWith(vgimg.UseWH(p.width, p.height), vgimg.UseDPI(dotsPerInch), vgimg.UseBackgroundColor(p.theme.ground))
	p.paint(draw.New(c))
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(w); err != nil {
		return fmt.Errorf("writing a PNG: %w", err)
	}
	return nil
}

// WriteSVG writes the picture as SVG.
func (p *Picture) WriteSVG(w io.Writer) error {
	text, err := p.svg()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("writing an SVG: %w", err)
	}
	return nil
}

// fallback follows the plotting library's typeface in an SVG, since not every
// machine has it. Arial has the same widths.
const fallback = "Arial,Helvetica,sans-serif"

func (p *Picture) svg() ([]byte, error) {
	c := vgsvg.New(p.width, p.height)
	p.paint(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("drawing an SVG: %w", err)
	}
	return []byte(strings.ReplaceAll(b.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,"+fallback+";")), nil
}

// fill paints the whole canvas.
func fill(c draw.Canvas, with color.Color) {
	c.SetColor(with)
	c.Fill(c.Rectangle.Path())
}
