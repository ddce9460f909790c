package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemoryFigures(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	meminfo := put("meminfo", "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    2000000 kB\n")
	if got, ok := memAvailable(meminfo); !ok || got != 2000000<<10 {
		t.Errorf("MemAvailable = %d, %v", got, ok)
	}
	if got, ok := memAvailable(put("none", "MemTotal: 1 kB\n")); ok {
		t.Errorf("no MemAvailable gave %d", got)
	}
	put("memory.max", "1073741824\n")
	put("memory.current", "73741824\n")
	if got, ok := groupMemory(dir); !ok || got != 1000000000 {
		t.Errorf("the group leaves %d, %v", got, ok)
	}
	put("memory.current", "2000000000\n")
	if got, ok := groupMemory(dir); !ok || got != 0 {
		t.Errorf("an overdrawn group leaves %d, %v", got, ok)
	}
	put("memory.max", "max\n")
	if got, ok := groupMemory(dir); ok {
		t.Errorf("an unlimited group leaves %d", got)
	}
}

func TestDefaultFanoutIsBounded(t *testing.T) {
	w := DefaultFanout()
	limit, known := raiseFileLimit()
	if known && (w.Fanout < minFanout || uint64(w.Fanout) > max(limit, minFanout)) {
		t.Errorf("fanout %d with %d files", w.Fanout, limit)
	}
	if known && !strings.ContainsAny(w.Bound, "0123456789") {
		t.Errorf("bound %q names no figure", w.Bound)
	}
}
