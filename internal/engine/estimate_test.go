package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestForesee(t *testing.T) {
	f := EstimateRun(Options{Fanout: 100, Rate: 50}, 10_000)
	if f.Targets != 10_000 || f.Fanout != 100 || f.AtOnce != 100 || f.Files != 100+reservedFiles || f.Memory != 100*connMemory {
		t.Errorf("%+v", f)
	}
	if f.Wall != "a fanout of 100" {
		t.Errorf("the wall is %q", f.Wall)
	}
	if want := 9999 * 20 * time.Millisecond; f.Time < want {
		t.Errorf("%v for 10,000 targets at 50 a second, want %v", f.Time, want)
	}
	all := EstimateRun(Options{Fanout: 100}, 16)
	if all.Wall != "" || all.AtOnce != 16 || all.Time < connTime {
		t.Errorf("%+v for targets that all fit", all)
	}
	machine := EstimateRun(Options{}, 1<<30)
	if machine.Wall != DefaultFanout().Bound && !strings.Contains(machine.Wall, "memory") {
		t.Errorf("the wall is %q, want the machine's", machine.Wall)
	}
	if none := EstimateRun(Options{}, 0); none.Time != 0 || none.AtOnce != 0 {
		t.Errorf("%+v for nothing", none)
	}
}

// faults.md: R06
func TestLocalPorts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "range")
	for text, want := range map[string]int{
		"32768\t60999\n": 28232, "1024 65535": 64512, "5 4": 28232, "x y": 28232, "": 28232, "1 70000": 28232,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := localPorts(path); got != want {
			t.Errorf("%q: %d ports, want %d", text, got, want)
		}
	}
	if got := localPorts(path + "none"); got != 28232 {
		t.Errorf("%d ports without a file", got)
	}
}
