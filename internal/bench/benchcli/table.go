package benchcli

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"shoal/internal/bench/benchrecord"
	"shoal/internal/ui"
)

// benchTable formats the medians of the repeats for a terminal, by strategy.
// right is what Point.Correct counts.
func benchTable(points []benchrecord.Point, right string) string {
	rows := [][]string{{"strategy", "targets", "wall", "hosts/s", "CPU ms/host", "peak MiB", right, ""}}
	for _, c := range benchCells(points) {
		rows = append(rows, c.row())
	}
	return ui.AlignTable(rows)
}

// A benchCell has the repeats of one strategy at one size.
type benchCell struct {
	strategy string
	size     int
	points   []benchrecord.Point
}

// benchCells groups the counted points, strategies in the order of their first
// point.
func benchCells(points []benchrecord.Point) []benchCell {
	var cells []benchCell
	var order []string
	for _, p := range points {
		if p.Warmup {
			continue
		}
		if !slices.Contains(order, p.Strategy) {
			order = append(order, p.Strategy)
		}
		i := slices.IndexFunc(cells, func(c benchCell) bool { return c.strategy == p.Strategy && c.size == p.Size })
		if i < 0 {
			i = len(cells)
			cells = append(cells, benchCell{strategy: p.Strategy, size: p.Size})
		}
		cells[i].points = append(cells[i].points, p)
	}
	slices.SortStableFunc(cells, func(a, b benchCell) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.strategy), slices.Index(order, b.strategy)), cmp.Compare(a.size, b.size))
	})
	return cells
}

// row returns the medians of the completed points, and the minimum of correct
// outputs over all points. Hosts per second counts only hosts with a correct
// output: a refused connection is not a fast one.
func (c benchCell) row() []string {
	row := []string{c.strategy, ui.Count(int64(c.size)), "-", "-", "-", "-", "", ""}
	worst := slices.MinFunc(c.points, func(a, b benchrecord.Point) int { return cmp.Compare(a.Correct, b.Correct) })
	row[6] = ui.Count(int64(worst.Correct)) + "/" + ui.Count(int64(c.size))
	whole := slices.DeleteFunc(slices.Clone(c.points), func(p benchrecord.Point) bool { return !p.Complete })
	if cut := len(c.points) - len(whole); cut > 0 {
		row[7] = fmt.Sprintf("%d of %d cut by the time limit", cut, len(c.points))
	}
	if len(whole) == 0 {
		return row
	}
	wall := medianOf(whole, func(p benchrecord.Point) float64 { return p.Wall.Seconds() })
	rate := medianOf(whole, func(p benchrecord.Point) float64 { return float64(p.Correct) / p.Wall.Seconds() })
	cpu := medianOf(whole, func(p benchrecord.Point) float64 { return (p.CPUUser + p.CPUSystem).Seconds() })
	peak := medianOf(whole, func(p benchrecord.Point) float64 { return float64(p.PeakRSS) })
	row[2] = benchWall(time.Duration(wall * float64(time.Second)))
	row[3] = fmt.Sprintf("%.0f", rate)
	row[4] = fmt.Sprintf("%.2f", 1e3*cpu/float64(c.size))
	row[5] = fmt.Sprintf("%.0f", peak/(1<<20))
	return row
}

// medianOf returns the median; for an even number, the mean of the two in the
// middle.
func medianOf(points []benchrecord.Point, value func(benchrecord.Point) float64) float64 {
	values := make([]float64, len(points))
	for i, p := range points {
		values[i] = value(p)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}
