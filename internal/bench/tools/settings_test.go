package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSettings(t *testing.T) {
	shoal := filepath.Join(t.TempDir(), "shoal")
	if err := os.WriteFile(shoal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		want Settings
		err  string
	}{
		{"", Settings{
			Sizes: []int{50, 200}, FleetSizes: []int{200, 1000}, Repeats: 3, Fanout: 32,
			Limit: 90 * time.Second, Budget: 35 * time.Minute,
			Files: true, FileSizes: []int{200, 1000, 10_000}, Large: 1024,
		}, ""},
		{"--quick --sizes 30,10", Settings{
			Sizes: []int{10, 30}, FleetSizes: []int{50}, Repeats: 1, Fanout: 32,
			Limit: 20 * time.Second, Budget: 4 * time.Minute, Quick: true,
			Files: true, FileSizes: []int{20, 50, 100}, Large: 32,
		}, ""},
		{"--repeats 0", Settings{}, "want 1 or more"},
		{"--sizes 0", Settings{}, "want 1 to"},
		{"--file-sizes 1,2", Settings{}, "want three numbers"},
		{"--limit 0s", Settings{}, "want more than 0"},
		{"--tools (", Settings{}, "reading --tools"},
		{"extra", Settings{}, "unexpected argument"},
	} {
		t.Run(test.args, func(t *testing.T) {
			got, err := parseSettings(append(strings.Fields(test.args), "--shoal", shoal))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(Settings{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestResultsOfOneDay(t *testing.T) {
	dir := t.TempDir()
	day := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	var names []string
	for range 3 {
		r, err := newResults(dir, day)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.point(Point{Tool: "pdsh", Size: 1}); err != nil {
			t.Fatal(err)
		}
		if err := r.jsonl.Close(); err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Base(r.jsonl.Name()), filepath.Base(r.table))
	}
	want := []string{
		"peers-2026-02-03.jsonl", "peers-2026-02-03.md",
		"peers-2026-02-03-2.jsonl", "peers-2026-02-03-2.md",
		"peers-2026-02-03-3.jsonl", "peers-2026-02-03-3.md",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
