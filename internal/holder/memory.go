package holder

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"shoal/internal/collector"
)

// memory has the garbage collector follow what the process does. While it only holds connections, as
// little as possible is resident; while a run uses them, little is collected: most of the memory is of
// connections that stay, and going through all of them costs as much as a thousand commands.
type memory struct {
	mu      sync.Mutex
	runs    int
	percent int // of debug.SetGCPercent
	timer   *time.Timer
}

const (
	restPercent = 50               // of debug.SetGCPercent while there is no run
	runRoom     = 48 << 20         // bytes that a run may allocate between two collections
	restAfter   = 10 * time.Second // the next run may follow at once
	paceEvery   = 500 * time.Millisecond
)

func newMemory() *memory {
	debug.SetGCPercent(restPercent)
	m := &memory{percent: restPercent}
	m.timer = time.AfterFunc(restAfter, m.follow)
	return m
}

// begin is called when a run begins, end when it has ended.
func (m *memory) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs++; m.runs > 1 {
		return
	}
	m.paceLocked()
	m.timer.Reset(paceEvery)
}

func (m *memory) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs--; m.runs == 0 {
		m.timer.Reset(restAfter)
	}
}

// follow is called by the timer. A run that dials ten thousand hosts has the memory grow with them; after
// the last run what it has left is collected and returned to the system.
func (m *memory) follow() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs > 0 {
		m.paceLocked()
		m.timer.Reset(paceEvery)
		return
	}
	m.setLocked(restPercent)
	debug.FreeOSMemory()
}

func (m *memory) paceLocked() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	m.setLocked(collector.Percent(live[0].Value.Uint64(), runRoom))
}

// setLocked stops the program for a moment, and only if there is something to change.
func (m *memory) setLocked(percent int) {
	if percent != m.percent {
		m.percent = percent
		debug.SetGCPercent(percent)
	}
}

// close ends the timer.
func (m *memory) close() { m.timer.Stop() }
