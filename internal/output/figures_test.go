package output

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/mask"
)

// BenchmarkDiff is -b --diff over 100,000 outputs of 2 KB in 20 variants, with times in them
// and without masks; the floor is 2 s and 300 MiB beyond the run. TARGETS is another number.
func BenchmarkDiff(b *testing.B) {
	targets := 100_000
	if n, err := strconv.Atoi(os.Getenv("TARGETS")); err == nil {
		targets = n
	}
	for _, c := range []struct {
		name   string
		groups groups.Options
		own    bool // each answer is another
	}{
		{"plain", groups.Options{}, false},
		{"masked", groups.Options{Masker: mask.New(mask.All), Auto: true}, true},
		{"all differ", groups.Options{}, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var peak uint64
			for b.Loop() {
				g := NewGathered(GatheredOptions{View: Diffs, Max: 50, Groups: c.groups, Stdout: Out{W: io.Discard}, Stderr: Out{W: io.Discard}})
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				text := make([]byte, 0, 4096)
				for i := range targets {
					text = append(text[:0], variant(i%20)...)
					if c.own {
						text = fmt.Appendf(text, "started 12:%02d:%02d.%03d, pid %d\n", i/60%60, i%60, i%1000, i)
					}
					r := fleet.Result{
						Target: fleet.Target{Host: fleet.Host{Name: "host" + strconv.Itoa(i)}, Index: i},
						End:    fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown},
						Stdout: fleet.Output{Bytes: text, Size: int64(len(text))},
					}
					if err := g.Result(r); err != nil {
						b.Fatal(err)
					}
				}
				runtime.ReadMemStats(&after)
				peak = max(peak, after.HeapInuse-before.HeapInuse)
				if err := g.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(peak)/(1<<20), "MiB-collected")
		})
	}
}

// variant is an output of 2 KB.
func variant(n int) string {
	return variants[n]
}

var variants = func() (texts []string) {
	for n := range 20 {
		var b strings.Builder
		for line := 0; b.Len() < 2000; line++ {
			if line == n+2 {
				fmt.Fprintf(&b, "package %d differs here in release %d\n", line, n)
				continue
			}
			fmt.Fprintf(&b, "package number-%d is installed in release 12, as usual\n", line)
		}
		texts = append(texts, b.String())
	}
	return texts
}()
