package chart

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"shoal/internal/bench/benchrecord"
	"shoal/internal/bench/report"
	"shoal/internal/ui"
)

// A gauge is one quantity that is drawn over time.
type gauge struct {
	name  string
	ticks plot.Ticker
	// value returns the quantity at a sample; before is the previous sample, or
	// the zero sample, which is the start.
	value func(before, at benchrecord.Sample) float64
	text  func(v float64) string
}

func gauges() []gauge {
	return []gauge{
		{
			"CPU (cores)", plainTicks(4),
			func(before, at benchrecord.Sample) float64 {
				if at.At <= before.At {
					return 0
				}
				return max(0, (at.CPU-before.CPU).Seconds()/(at.At-before.At).Seconds())
			},
			func(v float64) string { return fmt.Sprintf("%.2f cores busy", v) },
		}, {
			"memory", byteTicks(4),
			func(_, at benchrecord.Sample) float64 { return float64(at.RSS) },
			func(v float64) string { return ui.Bytes(int64(v)) },
		}, {
			"open files", plainTicks(4),
			func(_, at benchrecord.Sample) float64 { return float64(at.Files) },
			func(v float64) string { return report.Count(int(v)) + " open files" },
		},
	}
}

// resources draws the client's resource usage over time: a column for each
// strategy with its own time axis, and a row for each gauge with a common
// scale.
func (p *Picture) resources(r *report.Report) error {
	var sampled []report.Strategy
	for _, s := range r.Strategies {
		if len(s.Samples) > 0 {
			sampled = append(sampled, s)
		}
	}
	if len(sampled) == 0 {
		return ErrNoData
	}
	th := p.theme
	p.Title = "What the client used over time, at each strategy's largest size"
	p.height = 520
	f := frame{title: p.Title, below: settings(r), caption: []string{
		"Each column is the run with the median time and has its own time axis; the rows have one scale for all.",
	}}
	grid, places := th.panels(r, sampled)
	p.paint = func(c draw.Canvas) []Point {
		rest := f.draw(c, th)
		tiles := draw.Tiles{Rows: len(grid), Cols: len(sampled), PadX: 16, PadY: 12}
		rest.Min.X += room // for the names of the rows
		canvases := plot.Align(grid, tiles, rest)
		var points []Point
		for row := range grid {
			for column, pl := range grid[row] {
				pl.Draw(canvases[row][column])
				data := pl.DataCanvas(canvases[row][column])
				points = append(points, locate(places[row][column], pl, data)...)
				if column == 0 {
					sty := sans(th.ink, 10.5, false)
					sty.XAlign, sty.YAlign, sty.Rotation = draw.XCenter, draw.YTop, math.Pi/2
					c.FillText(sty, vg.Point{X: rest.Min.X - room, Y: data.Center().Y}, gauges()[row].name)
				}
			}
		}
		return points
	}
	return nil
}

// panels makes the plots by row and column, and returns the points in each.
func (t theme) panels(r *report.Report, sampled []report.Strategy) (grid [][]*plot.Plot, places [][][]place) {
	looks := t.looks(r)
	for row, g := range gauges() {
		var plots []*plot.Plot
		var rowPlaces [][]place
		top := 0.0
		for _, s := range sampled {
			pl := t.newPlot()
			if row == 0 {
				pl.Title.Text = fmt.Sprintf("%s, %s hosts", ui.Truncate(ui.Visible(s.Name), 16), report.Count(s.SamplesOf.Hosts))
				pl.Title.TextStyle.Color = looks[s.Name].colour
				pl.Title.Padding = 4
			}
			values, at := course(s, g)
			for _, v := range values {
				top = max(top, v.Y)
			}
			t.addGrid(pl)
			pl.Add(&plotter.Line{XYs: values, LineStyle: lineStyle(looks[s.Name].colour, 1.5), FillColor: faint(looks[s.Name].colour)})
			pl.X.Min, pl.X.Max = 0, s.SamplesOf.Wall.Seconds()
			pl.X.Tick.Marker = timeTicks(3)
			pl.Y.Tick.Marker = g.ticks
			plots, rowPlaces = append(plots, pl), append(rowPlaces, at)
		}
		for _, pl := range plots {
			pl.Y.Min, pl.Y.Max = 0, max(top*1.08, 1e-9)
		}
		grid, places = append(grid, plots), append(places, rowPlaces)
	}
	return grid, places
}

// steps is the maximum of samples drawn per run. Closer samples show mostly the
// resolution of the CPU clock.
const steps = 80

// course returns one gauge over a run, as a line and as points.
func course(s report.Strategy, g gauge) (plotter.XYs, []place) {
	var values plotter.XYs
	var places []place
	var before benchrecord.Sample
	for _, at := range s.Samples {
		if at.At-before.At < s.SamplesOf.Wall/steps {
			continue
		}
		x, y := at.At.Seconds(), g.value(before, at)
		values = append(values, plotter.XY{X: x, Y: y})
		places = append(places, place{x, y, s.Name, fmt.Sprintf("%s after %s: %s", s.Name, report.Time(at.At), g.text(y))})
		before = at
	}
	return values, places
}
