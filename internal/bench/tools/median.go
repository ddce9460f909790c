package main

import (
	"cmp"
	"slices"
	"time"
)

// A row is one tool at one size of one target, over all repeats.
type row struct {
	tool, kex string
	runs      int
	size      int
	correct   int     // minimum
	wall      float64 // s, the median as defined below
	wallTimes float64 // relative to shoal's of the same repeat; 0 if unknown
	cpu       float64 // ms per host
	cpuTimes  float64
	server    float64 // ms per host
	largest   int64
	process   string
	tree      int64
	exit      int    // of the first failed run, else of the first run
	failure   string // of the first failed run
	error     string
}

// newRow summarises the points of one tool. ours has shoal's points by repeat.
func newRow(points []Point, ours map[int]Point) row {
	first := points[0]
	r := row{tool: first.Tool, size: first.Size, runs: len(points), exit: first.Exit, process: first.Process}
	r.correct = slices.MinFunc(points, func(a, b Point) int { return cmp.Compare(a.Correct, b.Correct) }).Correct
	r.wall = median(points, func(p Point) float64 { return p.Wall.Seconds() })
	r.cpu = median(points, func(p Point) float64 { return perHost(p.cpu(), p.Size) })
	r.server = median(points, func(p Point) float64 { return perHost(p.ServerCPU, p.Size) })
	r.largest = median(points, func(p Point) int64 { return p.Largest })
	r.tree = median(points, func(p Point) int64 { return p.Tree })
	for _, p := range points {
		if p.Failure != "" {
			r.failure, r.error, r.exit = p.Failure, p.Error, p.Exit
			return r // a tool that fails early is not faster
		}
	}
	paired := slices.DeleteFunc(slices.Clone(points), func(p Point) bool {
		o, ok := ours[p.Repeat]
		return !ok || o.Failure != ""
	})
	if len(paired) > 0 {
		r.wallTimes = median(paired, func(p Point) float64 { return p.Wall.Seconds() / ours[p.Repeat].Wall.Seconds() })
		r.cpuTimes = median(paired, func(p Point) float64 { return p.cpu().Seconds() / ours[p.Repeat].cpu().Seconds() })
	}
	return r
}

// median returns the median; for an even number of points, the lower of the two
// in the middle.
func median[T cmp.Ordered](points []Point, value func(Point) T) T {
	values := make([]T, len(points))
	for i, p := range points {
		values[i] = value(p)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// perHost returns d per host in milliseconds.
func perHost(d time.Duration, size int) float64 {
	return d.Seconds() * 1000 / float64(size)
}
