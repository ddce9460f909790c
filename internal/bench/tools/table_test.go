package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/internal/bench/benchrecord"
)

var update = flag.Bool("update", false, "write the golden file anew")

// point returns a run on ten hosts, all correct.
func point(tool string, repeat int, wall, cpu time.Duration) Point {
	return Point{
		Target: "openssh", Tool: tool, Size: 10, Repeat: repeat, Wall: wall, CPUUser: cpu / 2, CPUSystem: cpu / 2,
		ServerCPU: 200 * time.Millisecond, Largest: 8 << 20, Process: "ssh", Tree: 16 << 20, Correct: 10,
	}
}

func testBencher() *bencher {
	b := &bencher{
		settings: Settings{Repeats: 3, Fanout: 32, Limit: time.Minute},
		targets: []*target{
			{name: "openssh", title: "Real OpenSSH", sizes: []int{10}, runsPrograms: true},
			{name: "fleet", title: "Simulated fleet", sizes: []int{10}},
		},
		header: Header{
			Program: "shoal v1", Load: "0.10 0.20 0.30", Started: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
			Machine: benchrecord.Machine{OS: "linux", Kernel: "6.1", CPU: "A Processor", Cores: 2, Memory: 8 << 30},
		},
		probes: []Probe{
			{Target: "openssh", Tool: "shoal", Version: "v1", Kex: "curve25519-sha256", RefusesWrongKey: true},
			{Target: "openssh", Tool: "pdsh", Version: "2.34", Kex: "sntrup761x25519-sha512@openssh.com", RefusesWrongKey: true},
			{Target: "openssh", Tool: "taktuk", Version: "3.7.7", Kex: "curve25519-sha256"},
		},
	}
	for _, t := range toolset() {
		switch t.name {
		case "shoal", "pdsh", "clush", "taktuk", "taktuk (curve25519)":
			b.tools = append(b.tools, t)
		}
	}
	failing := point("clush", 2, 10*time.Millisecond, time.Millisecond)
	failing.Correct, failing.Exit, failing.Failure, failing.Error = 3, 255, "7 of 10 outputs wrong or missing", "a `quoted` error"
	b.points = []Point{
		point("shoal", 1, 100*time.Millisecond, 20*time.Millisecond),
		point("shoal", 2, 200*time.Millisecond, 40*time.Millisecond),
		point("shoal", 3, 100*time.Millisecond, 20*time.Millisecond),
		point("pdsh", 1, 500*time.Millisecond, 200*time.Millisecond),
		point("pdsh", 2, 600*time.Millisecond, 800*time.Millisecond),
		point("pdsh", 3, 700*time.Millisecond, 220*time.Millisecond),
		point("clush", 1, time.Second, time.Second),
		failing,
		{Target: "fleet", Tool: "taktuk", Size: 10, Repeat: 1, Failure: "needs perl on the target"},
	}
	return b
}

func TestMarkdown(t *testing.T) {
	var got strings.Builder
	testBencher().markdown(&got)
	golden := filepath.Join("testdata", "table.md")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNewRow(t *testing.T) {
	b := testBencher()
	rows, missing := b.rows(b.targets[0], 10)
	if diff := cmp.Diff([]string{"taktuk"}, missing); diff != "" {
		t.Errorf("missing (-want +got)\n%s", diff)
	}
	// Ratios within each repeat: 5, 3 and 7 for the time, 10, 20 and 11 for the
	// CPU time.
	if pdsh := rows[1]; pdsh.wall != 0.6 || pdsh.wallTimes != 5 || pdsh.cpu != 22 || pdsh.cpuTimes != 11 {
		t.Errorf("pdsh: %+v", pdsh)
	}
	// One failure spoils the row; a tool that failed is not faster.
	if clush := rows[2]; clush.correct != 3 || clush.wallTimes != 0 || clush.exit != 255 || clush.failure == "" {
		t.Errorf("clush: %+v", clush)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []int
		want   int
	}{{[]int{7}, 7}, {[]int{9, 1}, 1}, {[]int{9, 1, 5}, 5}, {[]int{4, 1, 3, 2}, 2}} {
		var points []Point
		for _, v := range test.values {
			points = append(points, Point{Exit: v})
		}
		if got := median(points, func(p Point) int { return p.Exit }); got != test.want {
			t.Errorf("the median of %v is %d, want %d", test.values, got, test.want)
		}
	}
}
