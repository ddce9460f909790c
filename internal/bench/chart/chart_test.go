package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"shoal/internal/bench/benchrecord"
	"shoal/internal/bench/report"
	"shoal/internal/bench/report/reporttest"
)

func reportOf(t *testing.T, e reporttest.Experiment) *report.Report {
	t.Helper()
	var m report.Measurements
	if err := m.Add("a.jsonl", bytes.NewReader(e.Record())); err != nil {
		t.Fatal(err)
	}
	r, err := m.Analyse()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func drawn(t *testing.T, r *report.Report, k Kind, o Options) *Picture {
	t.Helper()
	p, err := Draw(r, k, o)
	if err != nil {
		t.Fatalf("drawing %s: %v", k, err)
	}
	return p
}

func svgOf(t *testing.T, p *Picture) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// texts returns the character data of a document, and fails the test if it is
// not well-formed.
func texts(t *testing.T, document string) []string {
	t.Helper()
	var all []string
	for d := xml.NewDecoder(strings.NewReader(document)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("the document is not well formed: %v", err)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			all = append(all, strings.TrimSpace(string(text)))
		}
	}
}

func has(all []string, want string) bool {
	for _, text := range all {
		if text == want {
			return true
		}
	}
	return false
}

func TestSVGIsWhole(t *testing.T) {
	r := reportOf(t, reporttest.Default(10, 50, 100, 200))
	for _, k := range Kinds() {
		for _, dark := range []bool{false, true} {
			p := drawn(t, r, k, Options{Dark: dark})
			all := texts(t, svgOf(t, p))
			if !has(all, p.Title) {
				t.Errorf("%s has no title %q", k, p.Title)
			}
			for _, external := range []string{"http://", "https://", "url(", "<script", "<image"} {
				cleaned := regexp.MustCompile(`xmlns(:xlink)?="[^"]*"`).ReplaceAllString(svgOf(t, p), "")
				if strings.Contains(cleaned, external) {
					t.Errorf("%s has %q", k, external)
				}
			}
		}
	}
}

func TestProjectionSaysSo(t *testing.T) {
	r := reportOf(t, reporttest.Default(10, 50, 100, 200))
	all := texts(t, svgOf(t, drawn(t, r, Projected, Options{})))
	for _, want := range []string{"projected", "10,000", "1,000", "1 s", "10 s", "1 min", "10 min", "number of hosts (logarithmic)"} {
		if !has(all, want) {
			t.Errorf("the projected chart does not say %q; it says %q", want, all)
		}
	}
	if svg := svgOf(t, drawn(t, r, Projected, Options{})); strings.Count(svg, "stroke-dasharray:5,4") != 5 {
		t.Errorf("%d lines are dashed, want one of each strategy and the legend's", strings.Count(svg, "stroke-dasharray:5,4"))
	}
	all = texts(t, svgOf(t, drawn(t, r, Measured, Options{})))
	if has(all, "projected") || strings.Contains(svgOf(t, drawn(t, r, Measured, Options{})), "stroke-dasharray:5,4") {
		t.Error("the measured chart projects")
	}
	all = texts(t, svgOf(t, drawn(t, r, Projected, Options{To: report.Million})))
	if !has(all, "1,000,000") {
		t.Errorf("the chart to 1,000,000 ends before: %q", all)
	}
}

// Every measured size has a point at the position that the axes give.
func TestEveryMeasuredPointIsThere(t *testing.T) {
	e := reporttest.Default(10, 50, 100, 200, 10000)
	e.Hosts = 5
	r := reportOf(t, e)
	for _, k := range []Kind{Measured, Projected} {
		p := drawn(t, r, k, Options{})
		byText := make(map[string]Point)
		for _, at := range p.Points {
			if at.X < 0 || at.Y < 0 || at.X > float64(p.width) || at.Y > float64(p.height) {
				t.Errorf("%s: %q is outside, at %v, %v", k, at.Text, at.X, at.Y)
			}
			byText[at.Text] = at
		}
		for _, s := range r.Strategies {
			last := math.Inf(-1)
			for _, z := range s.Sizes {
				at, ok := byText[pointText(s, z)]
				if !ok || at.Series != s.Name {
					t.Errorf("%s: %s at %d has no point", k, s.Name, z.Hosts)
				}
				if at.X <= last {
					t.Errorf("%s: %s at %d is not to the right of the size before", k, s.Name, z.Hosts)
				}
				last = at.X
			}
		}
		for _, s := range r.Strategies {
			projects := false
			for _, at := range p.Points {
				projects = projects || at.Series == s.Name && strings.Contains(at.Text, "10,000 hosts: projected ~")
			}
			// Only serial was not measured at 10,000.
			if want := k == Projected && s.Name == report.Serial; projects != want {
				t.Errorf("%s: %s has a projected point: %v", k, s.Name, projects)
			}
		}
	}
}

// The points must be where the plotting library draws.
func TestPointsCoincideWithTheirMarks(t *testing.T) {
	e := reporttest.Default(10, 50, 100)
	e.Lines = e.Lines[:1]
	p := drawn(t, reportOf(t, e), Measured, Options{})
	svg := svgOf(t, p)
	for _, at := range p.Points {
		// A circle's path starts at its rightmost point; the radius is 3.6.
		want := fmt.Sprintf("M%.5g,%.5g", at.X+3.6, float64(p.height)-at.Y)
		if !strings.Contains(svg, want) {
			t.Errorf("no mark is drawn at %v, %v (%s)", at.X, at.Y, want)
		}
	}
}

func TestPNGHasItsGround(t *testing.T) {
	r := reportOf(t, reporttest.Default(10, 50))
	for dark, ground := range map[bool]color.NRGBA{false: light().ground, true: pick(true).ground} {
		for _, k := range []Kind{Projected, Resources} {
			var b bytes.Buffer
			if err := drawn(t, r, k, Options{Dark: dark}).WritePNG(&b); err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(&b)
			if err != nil {
				t.Fatal(err)
			}
			box := img.Bounds()
			if box.Dx() != 1520 {
				t.Errorf("%s is %v wide", k, box.Dx())
			}
			for _, at := range [][2]int{{0, 0}, {box.Dx() - 1, 0}, {0, box.Dy() - 1}, {box.Dx() - 1, box.Dy() - 1}} {
				if got := color.NRGBAModel.Convert(img.At(at[0], at[1])); got != ground {
					t.Errorf("%s, dark %v: the corner %v is %v, want %v", k, dark, at, got, ground)
				}
			}
		}
	}
}

func TestHollowMarksAreNotRight(t *testing.T) {
	e := reporttest.Default(10, 50)
	e.Lines = e.Lines[:1]
	e.Lines[0].Spoil = func(p *benchrecord.Point) { p.Correct = p.Size - 1 }
	p := drawn(t, reportOf(t, e), Measured, Options{})
	if len(p.Points) != 2 || !strings.HasSuffix(p.Points[1].Text, "; 49 outputs right") {
		t.Errorf("the points are %+v", p.Points)
	}
}

func TestNothingToDraw(t *testing.T) {
	e := reporttest.Default(10, 50)
	for i := range e.Lines {
		e.Lines[i].Spoil = func(p *benchrecord.Point) { p.Hosts, p.Samples = nil, nil }
	}
	r := reportOf(t, e)
	for _, k := range []Kind{Phases, Resources} {
		if _, err := Draw(r, k, Options{}); !errors.Is(err, ErrNoData) {
			t.Errorf("%s without data gives the error %v", k, err)
		}
	}
	if _, err := Draw(r, "other", Options{}); err == nil || errors.Is(err, ErrNoData) {
		t.Errorf("an unknown kind gives the error %v", err)
	}
	var b bytes.Buffer
	if err := WriteHTML(&b, r, Options{}); err != nil || strings.Count(b.String(), "<svg") != 2 {
		t.Errorf("the page has %d pictures, want the 2 that have data; error %v", strings.Count(b.String(), "<svg"), err)
	}
}

// Unusual records must be drawn too: one size, one host, equal times, a falling
// line.
func TestOddRecordsAreDrawn(t *testing.T) {
	for name, change := range map[string]func(*reporttest.Experiment){
		"one size":   func(e *reporttest.Experiment) { e.Header.Settings.Sizes = []int{7} },
		"one host":   func(e *reporttest.Experiment) { e.Header.Settings.Sizes = []int{1} },
		"one repeat": func(e *reporttest.Experiment) { e.Header.Settings.Repeats = 1 },
		"flat":       func(e *reporttest.Experiment) { e.Lines[1].B, e.Noise = 0, 0 },
		"falling":    func(e *reporttest.Experiment) { e.Lines[1].A, e.Lines[1].B = 1e9, -4e6 },
		"many strategies": func(e *reporttest.Experiment) {
			for i := range 9 {
				l := e.Lines[1]
				l.Strategy = fmt.Sprintf("another strategy with a long name %d", i)
				e.Lines = append(e.Lines, l)
			}
		},
	} {
		e := reporttest.Default(10, 20, 200)
		change(&e)
		r := reportOf(t, e)
		for _, k := range Kinds() {
			p := drawn(t, r, k, Options{To: report.Million})
			if svg := svgOf(t, p); strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Errorf("%s: %s has places that are no numbers", name, k)
			}
		}
	}
}
