package chaostest

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"shoal/internal/bench/chart"
	"shoal/internal/ui"
)

var scaleFile = flag.String("scaling", "", "a `FILE` to which BenchmarkScaling appends its figures; a table and charts of all that are in it are written beside it")

// A scale is what one run of BenchmarkScaling took; CPU in seconds, memory in bytes.
type scale struct {
	Hosts       int     `json:"hosts"`
	Workers     int     `json:"workers"`
	Wall        float64 `json:"wall"`
	Coordinator usage   `json:"coordinator"`
	Hub         usage   `json:"hub"`
	Worker      usage   `json:"worker"` // the CPU of all, the memory of the largest
}

type usage struct {
	CPU    float64 `json:"cpu"`
	Memory int64   `json:"memory"`
}

func usageOf(c cost) usage { return usage{c.cpu.Seconds(), c.memory} }

// write appends the figures to scaleFile.
func (s scale) write() error {
	file, err := os.OpenFile(*scaleFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(file).Encode(s), file.Close())
}

// scalings are figures of the same number of hosts, by the number of workers.
type scalings []scale

// readScalings reads a file. Where a number of workers was measured several times, it is the round whose CPU is in the
// middle.
func readScalings(path string) (list scalings, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	rounds := make(map[int][]scale)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var s scale
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, err
		}
		rounds[s.Workers] = append(rounds[s.Workers], s)
	}
	for _, all := range rounds {
		slices.SortFunc(all, func(a, b scale) int { return cmp.Compare(a.cpu(), b.cpu()) })
		list = append(list, all[(len(all)-1)/2])
	}
	slices.SortFunc(list, func(a, b scale) int { return cmp.Compare(a.Workers, b.Workers) })
	for _, s := range list {
		if s.Hosts != list[0].Hosts {
			return nil, fmt.Errorf("%s has figures of %d hosts and of %d", path, list[0].Hosts, s.Hosts)
		}
	}
	return list, nil
}

func (s scale) cpu() float64 { return s.Coordinator.CPU + s.Hub.CPU + s.Worker.CPU }

// parts are those whose CPU is shown.
var parts = []struct {
	name string
	of   func(scale) usage
}{
	{"coordinator", func(s scale) usage { return s.Coordinator }},
	{"hub", func(s scale) usage { return s.Hub }},
	{"workers", func(s scale) usage { return s.Worker }},
}

// perHost is the CPU of a part, in µs for each host.
func (s scale) perHost(u usage) float64 { return u.CPU * 1e6 / float64(s.Hosts) }

// table returns the figures as Markdown, how flat they are, and at which rate one core of each part is full.
func (list scalings) table() string {
	var b strings.Builder
	b.WriteString("| workers | coordinator, µs a host | hub | workers | coordinator, MiB | hub | the largest worker | hosts a second |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range list {
		fmt.Fprintf(&b, "| %d | %.0f | %.0f | %.0f | %d | %d | %d | %s |\n", s.Workers, s.perHost(s.Coordinator), s.perHost(s.Hub), s.perHost(s.Worker),
			s.Coordinator.Memory>>20, s.Hub.Memory>>20, s.Worker.Memory>>20, ui.Count(int64(float64(s.Hosts)/s.Wall)))
	}
	b.WriteByte('\n')
	for _, p := range parts {
		var all []float64
		for _, s := range list {
			all = append(all, s.perHost(p.of(s)))
		}
		slices.Sort(all)
		least, middle, most := all[0], all[len(all)/2], all[len(all)-1]
		fmt.Fprintf(&b, "%s: %.0f to %.0f µs a host, the most is %.0f %% above the least; one core is full at %s hosts a second\n",
			p.name, least, most, (most/least-1)*100, ui.Count(int64(1e6/middle)))
	}
	return b.String()
}

// draw draws the CPU for each host over the number of workers.
func (list scalings) draw(dark bool) (*chart.Picture, error) {
	l := chart.Lines{
		Title: "CPU of each part of a run on workers, for each host",
		Below: ui.Count(int64(list[0].Hosts)) + " hosts that are a table, a hub, and all processes on one machine",
		X:     "workers (logarithmic)", Y: "CPU for each host, µs", Flat: 0.2,
		Caption: []string{"Areas: from the least of a line to 20 % above it."},
		Text:    func(y float64) string { return fmt.Sprintf("%.0f µs", y) },
	}
	for _, p := range parts {
		line := chart.Line{Name: p.name}
		for _, s := range list {
			line.X, line.Y = append(line.X, float64(s.Workers)), append(line.Y, s.perHost(p.of(s)))
		}
		l.Lines = append(l.Lines, line)
	}
	return chart.DrawLines(l, chart.Options{Dark: dark})
}

// writeAll writes the table and the charts of a file beside it.
func (list scalings) writeAll(path string) error {
	base := strings.TrimSuffix(path, filepath.Ext(path))
	if err := os.WriteFile(base+".md", []byte(list.table()), 0o644); err != nil {
		return err
	}
	for name, dark := range map[string]bool{"-light.png": false, "-dark.png": true} {
		picture, err := list.draw(dark)
		if err != nil {
			return err
		}
		file, err := os.Create(base + name)
		if err != nil {
			return err
		}
		if err := errors.Join(picture.WritePNG(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// scaleOf returns the figures of a round.
func (w *world) scaleOf(workers int, r round) scale {
	return scale{w.hosts, workers, r.wall.Seconds(), usageOf(r.coordinator), usageOf(r.hub), usageOf(r.worker)}
}

// recordScale appends the figures of a round to scaleFile, if there is one, and draws all that it has.
func (w *world) recordScale(workers int, r round) {
	w.t.Helper()
	if *scaleFile == "" {
		return
	}
	err := w.scaleOf(workers, r).write()
	var list scalings
	if err == nil {
		list, err = readScalings(*scaleFile)
	}
	if err == nil {
		err = list.writeAll(*scaleFile)
	}
	if err != nil {
		w.t.Errorf("recording the figures: %v", err)
	}
}

// What is drawn and written of the figures.
func TestScalings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scaling.jsonl")
	*scaleFile = path
	defer func() { *scaleFile = "" }()
	for _, s := range []scale{
		{1_000_000, 8, 400, usage{120, 300 << 20}, usage{50, 200 << 20}, usage{100, 40 << 20}},
		{1_000_000, 1, 500, usage{999, 1}, usage{1, 1}, usage{1, 1}},
		{1_000_000, 1, 500, usage{99, 1}, usage{1, 1}, usage{1, 1}},
		{1_000_000, 1, 500, usage{100, 290 << 20}, usage{60, 100 << 20}, usage{100, 50 << 20}},
	} {
		if err := s.write(); err != nil {
			t.Fatal(err)
		}
	}
	list, err := readScalings(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.writeAll(path); err != nil {
		t.Fatal(err)
	}
	const want = `| workers | coordinator, µs a host | hub | workers | coordinator, MiB | hub | the largest worker | hosts a second |
|--:|--:|--:|--:|--:|--:|--:|--:|
| 1 | 100 | 60 | 100 | 290 | 100 | 50 | 2,000 |
| 8 | 120 | 50 | 100 | 300 | 200 | 40 | 2,500 |

coordinator: 100 to 120 µs a host, the most is 20 % above the least; one core is full at 8,333 hosts a second
hub: 50 to 60 µs a host, the most is 20 % above the least; one core is full at 16,666 hosts a second
workers: 100 to 100 µs a host, the most is 0 % above the least; one core is full at 10,000 hosts a second
`
	got, err := os.ReadFile(strings.TrimSuffix(path, ".jsonl") + ".md")
	if err != nil || string(got) != want {
		t.Errorf("%v: %s", err, got)
	}
	picture, err := list.draw(false)
	if err != nil || len(picture.Points) != 6 || !slices.ContainsFunc(picture.Points, func(p chart.Point) bool { return p.Text == "coordinator, 8: 120 µs" }) {
		t.Errorf("%v: %v", err, picture)
	}
	if err := (scale{Hosts: 1, Workers: 2}).write(); err != nil {
		t.Fatal(err)
	}
	if _, err := readScalings(path); err == nil {
		t.Error("figures of other numbers of hosts were mixed")
	}
}

// The memory of a program is its own, however much whoever started it has.
func TestCostIsItsOwn(t *testing.T) {
	needProcesses(t)
	if runtime.GOOS != "linux" {
		t.Skip("nobody tells it")
	}
	w := newFleet(t, 1, 0, "true")
	mine := make([]byte, 400<<20)
	for i := 0; i < len(mine); i += 4096 {
		mine[i] = 1
	}
	got := w.start(asShoal, "version", "version").cost()
	runtime.KeepAlive(mine)
	if got.memory == 0 || got.memory > 300<<20 || got.cpu == 0 {
		t.Errorf("shoal version had %d MiB and %v of CPU", got.memory>>20, got.cpu)
	}
}
