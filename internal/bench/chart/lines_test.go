package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"testing"
)

// Lines have a mark at each point, a label at their end, and points with what they say.
func TestDrawLines(t *testing.T) {
	lines := Lines{
		Title: "a title", Below: "what it is of", X: "workers", Y: "µs", Flat: 0.2, Caption: []string{"what areas are"},
		Lines: []Line{{"hub", []float64{1, 2, 32}, []float64{50, 60, 55}}, {"worker", []float64{1, 32}, []float64{90, 100}}, {Name: "nothing"}},
		Text:  func(y float64) string { return fmt.Sprintf("%.0f µs", y) },
	}
	for _, dark := range []bool{false, true} {
		p, err := DrawLines(lines, Options{Dark: dark})
		if err != nil {
			t.Fatal(err)
		}
		all := texts(t, svgOf(t, p))
		for _, want := range []string{"a title", "what it is of", "workers", "µs", "what areas are", "hub", "55 µs", "worker", "100 µs", "1", "2", "32", "0"} {
			if !has(all, want) {
				t.Errorf("no %q in %q", want, all)
			}
		}
		if len(p.Points) != 5 || p.Points[1].Text != "hub, 2: 60 µs" || p.Points[1].X <= p.Points[0].X || p.Points[1].Y >= p.Points[0].Y {
			t.Errorf("points: %+v", p.Points)
		}
		var b bytes.Buffer
		if err := p.WritePNG(&b); err != nil {
			t.Fatal(err)
		}
		if c, err := png.DecodeConfig(&b); err != nil || c.Width != 1520 {
			t.Errorf("a picture of %d pixels: %v", c.Width, err)
		}
	}
	lines.Lines = lines.Lines[2:]
	if _, err := DrawLines(lines, Options{}); !errors.Is(err, ErrNoData) {
		t.Errorf("drawing nothing: %v", err)
	}
}
