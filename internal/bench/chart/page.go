package chart

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image/color"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"shoal/internal/bench/report"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// page is the data of page.html.
type page struct {
	Title    string
	Script   template.JS
	Policy   string
	Style    template.CSS
	Pictures []pagePicture
	About    report.Table
	Tables   []report.Table
}

type pagePicture struct {
	Kind, Title   string
	Width, Height float64
	Body          template.HTML
	Points        []Point
}

// WriteHTML writes all pictures and tables as one file. The file loads nothing;
// its Content-Security-Policy forbids that, and all scripts but its own.
// Colours follow the reader's preference, and a button changes them;
// Options.Dark has no effect.
func WriteHTML(w io.Writer, r *report.Report, o Options) error {
	hash := sha256.Sum256([]byte(pageScript))
	p := page{
		Title:  "shoal-bench",
		Script: template.JS(pageScript),
		Policy: "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" +
			base64.StdEncoding.EncodeToString(hash[:]) + "'",
		Style: template.CSS(themeStyle() + pageStyle),
	}
	p.About, p.Tables = r.Tables()[0], r.Tables()[1:]
	o.Dark = false
	for _, kind := range Kinds() {
		picture, err := Draw(r, kind, o)
		if errors.Is(err, ErrNoData) {
			continue
		}
		if err != nil {
			return err
		}
		embedded, err := picture.embed()
		if err != nil {
			return err
		}
		p.Pictures = append(p.Pictures, embedded)
	}
	return writePage(w, p)
}

func writePage(w io.Writer, p page) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("filling the page: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing HTML: %w", err)
	}
	return nil
}

// embed returns the content of the SVG's root element, with colours replaced by
// CSS variables.
func (p *Picture) embed() (pagePicture, error) {
	text, err := p.svg()
	if err != nil {
		return pagePicture{}, err
	}
	body := string(text)
	body = body[strings.Index(body, "<svg"):]
	body = body[strings.IndexByte(body, '>')+1 : strings.LastIndex(body, "</svg>")]
	// Quotes inside texts are escaped, so no text can look like a style.
	body = regexp.MustCompile(`style="[^"]*"`).ReplaceAllStringFunc(body, p.theme.nameColours)
	return pagePicture{
		Kind: string(p.Kind), Title: p.Title, Width: float64(p.width), Height: float64(p.height),
		Body:   template.HTML(body),
		Points: p.Points,
	}, nil
}

// names returns the theme's colours by CSS name.
func (t theme) names() map[string]color.NRGBA {
	all := map[string]color.NRGBA{"ground": t.ground, "ink": t.ink, "muted": t.muted, "grid": t.grid}
	for i, c := range t.series {
		all[fmt.Sprintf("series%d", i)] = c
	}
	return all
}

// nameColours replaces the colours in a style. The plotting library rounds
// those of translucent areas.
func (t theme) nameColours(style string) string {
	return regexp.MustCompile(`#[0-9A-F]{6}`).ReplaceAllStringFunc(style, func(hex string) string {
		var c color.NRGBA
		if _, err := fmt.Sscanf(hex, "#%02X%02X%02X", &c.R, &c.G, &c.B); err != nil {
			return hex
		}
		for name, known := range t.names() {
			if near(c.R, known.R) && near(c.G, known.G) && near(c.B, known.B) {
				return "var(--" + name + ")"
			}
		}
		return hex
	})
}

func near(a, b uint8) bool { return max(a, b)-min(a, b) <= 2 }

// themeStyle returns the CSS variables for both themes.
func themeStyle() string {
	define := func(t theme) string {
		var b strings.Builder
		for _, name := range sortedNames(t) {
			c := t.names()[name]
			fmt.Fprintf(&b, "--%s:#%02x%02x%02x;", name, c.R, c.G, c.B)
		}
		return b.String()
	}
	return ":root{color-scheme:light;" + define(light()) + "}\n" +
		"@media (prefers-color-scheme:dark){:root:not([data-theme=light]){color-scheme:dark;" + define(dark()) + "}}\n" +
		":root[data-theme=dark]{color-scheme:dark;" + define(dark()) + "}\n"
}

func sortedNames(t theme) []string { return slices.Sorted(maps.Keys(t.names())) }
