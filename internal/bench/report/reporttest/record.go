// Package reporttest makes bench records with known properties, for tests of
// code that reads records. Start with [Default], change it, and call
// [Experiment.Record].
package reporttest

import (
	"bytes"
	"math"
	"math/rand/v2"
	"time"

	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
)

// An Experiment describes a record. Times are exact lines plus noise from a
// seeded generator, so that an Experiment always gives the same record.
type Experiment struct {
	Header benchrecord.Header
	Lines  []Line
	Seed   uint64
	Noise  float64 // standard deviation of each run's time, relative to it
	Hosts  int     // maximum of hosts per point that have phases; 0 means all
}

// A Line is one strategy: a run over n hosts takes A + B·n.
type Line struct {
	Strategy   string
	A, B       time.Duration
	Max        int // the largest size; 0 means all
	CPUPerHost time.Duration
	Spoil      func(*benchrecord.Point) // changes each point; may be nil
}

// Default returns an experiment like the reference's on a simulated fleet at 6
// ms: ten round trips of 12 ms and 1 ms of work per host.
func Default(sizes ...int) Experiment {
	const ms = time.Millisecond
	return Experiment{
		Seed: 1, Noise: 0.01,
		Header: benchrecord.Header{
			Program: "shoal v1.2.3", Commit: "0123abcd", Go: "go1.26.8",
			Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
			Machine: benchrecord.Machine{
				Host: "lab", OS: "linux", Arch: "amd64", Kernel: "6.1.0",
				CPU: "Example CPU 3000", Cores: 2, Memory: 8 << 30,
			},
			Settings: benchrecord.Settings{
				Sizes: sizes, Strategies: []string{"serial", "workers", "concurrent", "auto"},
				Repeats: 3, Warmup: 1, Workers: 32, Command: "echo hello world {index}",
				Expect: "hello world {index}\n",
				Fleet:  &benchrecord.FleetSettings{Hosts: sizes[len(sizes)-1], Latency: 6 * ms},
				Limit:  10 * time.Minute,
			},
		},
		Lines: []Line{
			{Strategy: "serial", A: 2 * ms, B: 121 * ms, Max: 1000, CPUPerHost: 600 * time.Microsecond},
			{Strategy: "workers", A: 60 * ms, B: 4 * ms, CPUPerHost: 550 * time.Microsecond},
			{Strategy: "concurrent", A: 150 * ms, B: 1100 * time.Microsecond, CPUPerHost: 500 * time.Microsecond},
			{Strategy: "auto", A: 130 * ms, B: 800 * time.Microsecond, CPUPerHost: 450 * time.Microsecond},
		},
	}
}

// Record returns the experiment as a bench record.
func (e Experiment) Record() []byte {
	var b bytes.Buffer
	if err := benchrecord.WriteHeader(&b, e.Header); err != nil {
		panic(err) // writing to a bytes.Buffer never fails
	}
	for _, p := range e.Points() {
		if err := benchrecord.WritePoint(&b, p); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// Points returns the points in the order of a bench: strategies take turns
// within a repeat.
func (e Experiment) Points() []benchrecord.Point {
	random := rand.New(rand.NewPCG(e.Seed, 0))
	var points []benchrecord.Point
	for _, size := range e.Header.Settings.Sizes {
		for repeat := range e.Header.Settings.Repeats + e.Header.Settings.Warmup {
			for _, l := range e.Lines {
				if l.Max > 0 && size > l.Max {
					continue
				}
				p := e.point(l, size, random)
				p.Warmup = repeat < e.Header.Settings.Warmup
				p.Repeat = repeat + 1
				if !p.Warmup {
					p.Repeat -= e.Header.Settings.Warmup
				}
				if l.Spoil != nil {
					l.Spoil(&p)
				}
				points = append(points, p)
			}
		}
	}
	return points
}

func (e Experiment) point(l Line, size int, random *rand.Rand) benchrecord.Point {
	wall := float64(l.A + l.B*time.Duration(size))
	wall *= max(0.1, 1+e.Noise*random.NormFloat64())
	cpu := l.CPUPerHost * time.Duration(size)
	open := size
	switch l.Strategy {
	case "serial":
		open = 1
	case "workers":
		open = min(size, 32)
	}
	p := benchrecord.Point{
		Strategy: l.Strategy, Size: size, Started: e.Header.Started,
		Wall: time.Duration(wall), CPUUser: cpu * 3 / 4, CPUSystem: cpu / 4,
		PeakRSS:  int64(20<<20 + 20<<10*open),
		Outcomes: map[string]int{"ok": size}, Correct: size, Complete: true,
	}
	const samples = 24
	for i := range samples {
		share := float64(i) / (samples - 1)
		busy := math.Sin(math.Pi * share)
		p.Samples = append(p.Samples, benchrecord.Sample{
			At:    time.Duration(wall * share),
			CPU:   time.Duration(float64(cpu) * (1 - math.Cos(math.Pi*share)) / 2),
			RSS:   20<<20 + int64(float64(20<<10*open)*busy),
			Files: 9 + int(float64(open)*busy), Goroutines: 12 + 4*int(float64(open)*busy),
		})
	}
	hosts := size
	if e.Hosts > 0 {
		hosts = min(size, e.Hosts)
	}
	for i := range hosts {
		p.Hosts = append(p.Hosts, benchrecord.HostTimes{Index: i, Outcome: "ok", Phases: phasesOf(random)})
	}
	return p
}

// phasesOf returns phases with ten round trips of 12 ms and a little work in
// each.
func phasesOf(random *rand.Rand) benchrecord.Phases {
	var p benchrecord.Phases
	for phase, trips := range map[fleet.Phase]float64{
		fleet.PhaseDial: 1, fleet.PhaseBanner: 1, fleet.PhaseKex: 2, fleet.PhaseAuth: 3,
		fleet.PhaseSession: 1, fleet.PhaseExec: 1, fleet.PhaseRun: 1,
	} {
		p[phase] = time.Duration(trips * 12e6)
	}
	for phase := fleet.PhaseDial; phase <= fleet.PhaseDrain; phase++ {
		p[phase] += time.Duration(2e4 + 1e5*random.ExpFloat64())
	}
	return p
}
