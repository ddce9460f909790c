package bench

import (
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

// startMeter gives back the memory that an earlier point left, so that the peak
// is this one's, and begins.
func startMeter() *meter {
	m := &meter{probe: newProber(), quit: make(chan struct{}), taken: newSeries()}
	debug.FreeOSMemory()
	m.peakCumulative = !resetPeak()
	m.user, m.system = cpuTime()
	m.started = time.Now()
	m.done.Go(m.watch)
	return m
}

// stop ends the measurement.
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

// watch takes samples until stop.
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

// Waking an idle process costs ten times what a sample does, so that there are
// few: a tenth of the time so far apart, within these bounds, and farther when
// there are maxSamples of them.
const (
	maxSamples    = 200
	firstInterval = 10 * time.Millisecond
	longInterval  = 100 * time.Millisecond
)

// A series is samples at an interval that doubles when there are too many.
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
	if len(s.samples) == maxSamples-1 { // one is left for the last of all
		for i := range maxSamples / 2 {
			s.samples[i] = s.samples[2*i]
		}
		s.samples = s.samples[:maxSamples/2]
		s.every *= 2
	}
	s.samples = append(s.samples, x)
}
