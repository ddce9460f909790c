package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"shoal/internal/bench/report"
)

// A Kind is what a picture shows.
type Kind string

// The kinds.
const (
	Measured  Kind = "measured"  // execution time over hosts, linear axes, measured values
	Projected Kind = "projected" // the same with logarithmic axes, up to Options.To
	Phases    Kind = "phases"    // duration of each phase of a host
	Resources Kind = "resources" // CPU, memory and open files over time
)

// Kinds returns all kinds in reading order.
func Kinds() []Kind { return []Kind{Measured, Projected, Phases, Resources} }

// ErrNoData means that the records have no data for a picture.
var ErrNoData = errors.New("the records hold nothing to draw")

// Options are the drawing options. The zero value means a light picture up to
// report.Target hosts.
type Options struct {
	Dark bool
	To   int // right end of Projected in hosts, at least the largest size; 0 means report.Target
}

// A Picture can be written in any format.
type Picture struct {
	Kind  Kind
	Title string
	// Points are the points with a value to look up. They include all measured
	// points, also hidden ones.
	Points []Point

	theme         theme
	width, height vg.Length
	paint         func(draw.Canvas) []Point
}

// A Point is a position in a picture and its description.
type Point struct {
	X, Y   float64 // from the top left corner, in units of the SVG's viewBox
	Series string  // strategy
	Text   string  // description to display
}

// Draw makes a picture of kind k. The error is ErrNoData if there is nothing to
// draw.
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
	p.place()
	return p, nil
}

// place sets the points, whose positions are known only after the layout.
func (p *Picture) place() {
	p.Points = p.paint(draw.New(vgsvg.New(p.width, p.height)))
	for i := range p.Points {
		p.Points[i].Y = float64(p.height) - p.Points[i].Y
	}
}

// dotsPerInch makes a PNG 1,520 pixels wide.
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

// fallback is the list of typefaces for an SVG on machines without the plotting
// library's. Arial has the same widths.
const fallback = "Arial,Helvetica,sans-serif"

// A measuring canvas remembers how wide each text is.
type measuring struct {
	*vgsvg.Canvas
	widths []vg.Length
}

// FillString implements vg.Canvas.
func (m *measuring) FillString(f font.Face, at vg.Point, text string) {
	m.widths = append(m.widths, f.Width(text))
	m.Canvas.FillString(f, at, text)
}

func (p *Picture) svg() ([]byte, error) {
	c := &measuring{Canvas: vgsvg.New(p.width, p.height)}
	p.paint(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("drawing an SVG: %w", err)
	}
	text := strings.ReplaceAll(b.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,"+fallback+";")
	// Other fonts have other widths, and labels would be cut, or lie over each other: each text
	// is made as wide as it was when its place was chosen.
	parts := strings.Split(text, "<text ")
	for i, width := range c.widths {
		if width > 0 {
			parts[i+1] = fmt.Sprintf(`textLength="%.4g" lengthAdjust="spacingAndGlyphs" %s`, width.Points(), parts[i+1])
		}
	}
	return []byte(strings.Join(parts, "<text ")), nil
}

// fill paints the whole canvas.
func fill(c draw.Canvas, with color.Color) {
	c.SetColor(with)
	c.Fill(c.Rectangle.Path())
}
