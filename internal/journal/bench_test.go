package journal

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	benchTargets = 10_000
	benchWorkers = 256
)

// BenchmarkRun writes the journal of a run of 10,000 targets, 256 at once: for each an
// intent, then a result with 1 KiB of output.
func BenchmarkRun(b *testing.B) {
	for _, sync := range []string{"power", "process"} {
		for _, output := range []string{"equal", "distinct"} {
			b.Run(sync+"/"+output, func(b *testing.B) { benchRun(b, sync == "process", output == "distinct", 0) })
		}
	}
}

// BenchmarkPaced does the same at 3,000 targets per second. cpu-% is the processor time of
// the journal in percent of one core.
func BenchmarkPaced(b *testing.B) {
	for _, output := range []string{"equal", "distinct"} {
		b.Run(output, func(b *testing.B) { benchRun(b, false, output == "distinct", 3000) })
	}
}

func benchRun(b *testing.B, noSync, distinct bool, pace int) {
	var begin, all, end, cpu time.Duration
	var took []time.Duration
	var size int64
	for b.Loop() {
		dir := b.TempDir()
		j := mustOpen(b, dir, Options{noSync: noSync})
		t0 := time.Now()
		r := mustBegin(b, j, RunInfo{}, targetsOf(benchTargets))
		t1, cpu1 := time.Now(), cpuTime(b)
		took = append(took, work(b, r, distinct, pace)...)
		t2, cpu2 := time.Now(), cpuTime(b)
		if err := r.End(Ending{}); err != nil {
			b.Fatal(err)
		}
		begin, all, end, cpu = begin+t1.Sub(t0), all+t2.Sub(t1), end+time.Since(t2), cpu+cpu2-cpu1
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, fileName))
		if err != nil {
			b.Fatal(err)
		}
		size = info.Size()
	}
	n := float64(b.N)
	slices.Sort(took)
	b.ReportMetric(benchTargets*n/all.Seconds(), "results/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "intend-p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "intend-p99-us")
	b.ReportMetric(float64(size)/benchTargets, "B/target")
	b.ReportMetric(float64(cpu.Microseconds())/n/benchTargets, "cpu-us/target")
	b.ReportMetric(100*cpu.Seconds()/all.Seconds(), "cpu-%")
	b.ReportMetric(float64(begin.Milliseconds())/n, "begin-ms")
	b.ReportMetric(float64(end.Milliseconds())/n, "end-ms")
}

// work has 256 workers call Intend and Result. With a pace, that many targets become due
// per second.
func work(b *testing.B, r *Run, distinct bool, pace int) []time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	took := make([]time.Duration, benchTargets)
	text := strings.Repeat("x", 1024)
	start := time.Now()
	for range benchWorkers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= benchTargets {
					return
				}
				if pace > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(pace))))
				}
				t := time.Now()
				if err := r.Intend(i, 1, netip.AddrPort{}); err != nil {
					b.Error(err)
				}
				took[i] = time.Since(t)
				out := text
				if distinct {
					out = fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15) + text[16:]
				}
				if err := r.Result(okResult(targetOf(i), out)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return took
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIntendAlone measures the latency of Intend without other targets.
func BenchmarkIntendAlone(b *testing.B) {
	for _, sync := range []string{"power", "process"} {
		b.Run(sync, func(b *testing.B) {
			r := mustBegin(b, mustOpen(b, b.TempDir(), Options{noSync: sync == "process"}), RunInfo{}, targetsOf(1))
			for b.Loop() {
				if err := r.Intend(0, 1, netip.AddrPort{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSelect selects what to resume in a run of 10,000 targets.
func BenchmarkSelect(b *testing.B) {
	j := mustOpen(b, b.TempDir(), Options{noSync: true})
	r := mustBegin(b, j, RunInfo{}, targetsOf(benchTargets))
	work(b, r, true, 0)
	if err := r.End(Ending{}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := j.Select(context.Background(), r.ID(), Resumable); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoaded measures how much the journal adds to the wall time of a run that keeps
// every processor busy and, without the journal, ends about 3,000 targets per second:
// overhead-%. Runs with and without the journal alternate, and their medians are compared.
// If other programs use the processors too, overhead-cpu-% says more.
func BenchmarkLoaded(b *testing.B) {
	const targets = 3000
	spin := spinsFor(b, time.Duration(runtime.GOMAXPROCS(0))*time.Second/3000)
	run := func(r *Run) time.Duration {
		var next atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for range benchWorkers {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < targets; i = int(next.Add(1)) - 1 {
					burn(spin / 2)
					if r != nil {
						if err := r.Intend(i, 1, netip.AddrPort{}); err != nil {
							b.Error(err)
						}
					}
					burn(spin / 2)
					if r != nil {
						if err := r.Result(okResult(targetOf(i), fmt.Sprintf("%01024d", i))); err != nil {
							b.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	var with, without []time.Duration
	var cpuWith, cpuWithout time.Duration
	for b.Loop() {
		cpu0 := cpuTime(b)
		without = append(without, run(nil))
		cpu1 := cpuTime(b)
		cpuWithout += cpu1 - cpu0
		j := mustOpen(b, b.TempDir(), Options{})
		r := mustBegin(b, j, RunInfo{}, targetsOf(targets))
		cpu1 = cpuTime(b)
		took := run(r)
		start := time.Now()
		if err := r.End(Ending{}); err != nil {
			b.Fatal(err)
		}
		with = append(with, took+time.Since(start))
		cpuWith += cpuTime(b) - cpu1
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(with)
	slices.Sort(without)
	m, n := with[len(with)/2], without[len(without)/2]
	b.ReportMetric(targets/n.Seconds(), "results/s-without")
	b.ReportMetric(targets/m.Seconds(), "results/s-with")
	b.ReportMetric(100*(cpuWith.Seconds()/cpuWithout.Seconds()-1), "overhead-cpu-%")
	b.ReportMetric(100*(m.Seconds()/n.Seconds()-1), "overhead-%")
}

var burnt atomic.Uint64 // keeps the compiler from removing burn

func burn(n int) {
	x := uint64(n)
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	burnt.Store(x)
}

// spinsFor returns the number of iterations of burn that take at least d.
func spinsFor(b *testing.B, d time.Duration) int {
	const n = 1_000_000
	best := time.Hour
	for range 20 {
		start := time.Now()
		burn(n)
		best = min(best, time.Since(start))
	}
	if best <= 0 {
		b.Fatal("the clock stands still")
	}
	return int(n * d / best)
}
