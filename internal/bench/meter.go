package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"shoal/internal/bench/benchrecord"
)

// A meter measures this process from startMeter to stop.
type meter struct {
	usage
	probe *prober
	quit  chan struct{} // closed by stop
	done  sync.WaitGroup
	taken series
}

// startMeter releases the memory of an earlier point, so that the peak is that
// of this point, and starts measuring.
func startMeter() *meter {
	m := &meter{probe: newProber(), quit: make(chan struct{}), taken: newSeries()}
	debug.FreeOSMemory()
	m.peakCumulative = !resetPeak()
	m.user, m.system = cpuTime()
	m.started = time.Now()
	m.done.Go(m.watch)
	return m
}

// stop ends the measurement and returns it.
func (m *meter) stop() usage {
	m.wall = time.Since(m.started)
	user, system := cpuTime()
	close(m.quit)
	m.done.Wait()
	m.peak = peakRSS()
	m.samples = append(m.taken.samples, m.sample())
	m.probe.close()
	u := m.usage
	u.user, u.system = user-m.user, system-m.system
	return u
}

// watch takes samples until stop is called.
func (m *meter) watch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			m.taken.add(m.sample())
			timer.Reset(m.taken.every)
		case <-m.quit:
			return
		}
	}
}

func (m *meter) sample() benchrecord.Sample {
	user, system := cpuTime()
	return benchrecord.Sample{
		At:         time.Since(m.started),
		CPU:        user + system - m.user - m.system,
		RSS:        m.probe.memory(),
		Files:      m.probe.files(),
		Goroutines: runtime.NumGoroutine(),
	}
}

// Waking an idle process costs ten times as much as a sample, so samples are
// few: the interval is a tenth of the elapsed time, within these bounds, and
// doubles when there are maxSamples.
const (
	maxSamples    = 200
	firstInterval = 10 * time.Millisecond
	longInterval  = 100 * time.Millisecond
)

// A series is a list of samples. Its interval doubles when there are too many.
type series struct {
	every   time.Duration
	samples []benchrecord.Sample
}

func newSeries() series {
	return series{every: firstInterval, samples: make([]benchrecord.Sample, 0, maxSamples)}
}

func (s *series) add(x benchrecord.Sample) {
	if s.every < longInterval {
		s.every = min(max(firstInterval, x.At/10), longInterval)
	}
	if len(s.samples) == maxSamples-1 { // one is reserved for the final sample
		for i := range maxSamples / 2 {
			s.samples[i] = s.samples[2*i]
		}
		s.samples = s.samples[:maxSamples/2]
		s.every *= 2
	}
	s.samples = append(s.samples, x)
}

// NewHeader describes this machine and this program's build.
func NewHeader(program string, s benchrecord.Settings) benchrecord.Header {
	return benchrecord.Header{
		Program: program, Commit: commit(), Go: runtime.Version(), Started: time.Now(),
		Machine: thisMachine(), Settings: s,
	}
}

func thisMachine() benchrecord.Machine {
	m := benchrecord.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU()}
	m.Host, _ = os.Hostname()
	m.Kernel, m.CPU, m.Memory = systemFacts()
	return m
}

// commit returns the commit that the go command recorded in the program, with
// "+dirty" if files were changed; "" if it was built outside a repository.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}
