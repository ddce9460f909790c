package bench

import (
	"os"
	"runtime"
	"testing"
)

func TestProber(t *testing.T) {
	p := newProber()
	defer p.close()
	before := p.files()
	var opened []*os.File
	for range 7 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, f)
	}
	if got := p.files(); got != before+7 {
		t.Errorf("%d files after seven more, %d before", got, before)
	}
	for _, f := range opened {
		_ = f.Close()
	}
	if got := p.files(); got != before {
		t.Errorf("%d files, want %d again", got, before)
	}
	before64 := p.memory()
	held := make([]byte, 64<<20)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	grown := p.memory() - before64
	runtime.KeepAlive(held)
	if grown < 60<<20 {
		t.Errorf("64 MiB more show as %d bytes", grown)
	}
}

// A point's peak is not that of an earlier one, if the kernel allows resetting
// it.
func TestMeterPeak(t *testing.T) {
	measure := func(size int) usage {
		m := startMeter()
		held := make([]byte, size)
		for i := 0; i < len(held); i += 4096 {
			held[i] = 1
		}
		runtime.KeepAlive(held)
		return m.stop()
	}
	large, small := measure(128<<20), measure(1<<20)
	if large.peak < 128<<20 {
		t.Errorf("the peak with 128 MiB held is %d bytes", large.peak)
	}
	if small.peakCumulative != (small.peak >= large.peak) {
		t.Errorf("cumulative is %v; the peaks are %d and then %d bytes", small.peakCumulative, large.peak, small.peak)
	}
	if last := small.samples[len(small.samples)-1]; last.At < small.wall || last.Goroutines == 0 || last.RSS == 0 || last.Files == 0 {
		t.Errorf("the last sample is %+v, the wall time %v", last, small.wall)
	}
}
