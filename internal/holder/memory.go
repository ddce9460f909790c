package holder

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// memory has the garbage collector follow what the process does. While it only holds connections, as
// little as possible is resident; while a run uses them, little is collected: most of the memory is of
// connections that stay, and going through all of them costs as much as a thousand commands.
type memory struct {
	mu    sync.Mutex
	runs  int
	timer *time.Timer
}

const (
	restPercent = 50               // of debug.SetGCPercent while there is no run
	runRoom     = 48 << 20         // bytes that a run may allocate between two collections
	mostPercent = 400              // of debug.SetGCPercent at all
	restAfter   = 10 * time.Second // the next run may follow at once
)

func newMemory() *memory {
	debug.SetGCPercent(restPercent)
	m := new(memory)
	m.timer = time.AfterFunc(restAfter, m.rest)
	return m
}

// begin is called when a run begins, end when it has ended.
func (m *memory) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs++; m.runs > 1 {
		return
	}
	m.timer.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(runPercent(live[0].Value.Uint64()))
}

func runPercent(live uint64) int {
	return int(max(restPercent, min(mostPercent, runRoom*100/max(live, 1))))
}

func (m *memory) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs--; m.runs == 0 {
		m.timer.Reset(restAfter)
	}
}

// rest collects what runs have left and returns it to the system.
func (m *memory) rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs > 0 {
		return
	}
	debug.SetGCPercent(restPercent)
	debug.FreeOSMemory()
}

// close ends the timer.
func (m *memory) close() { m.timer.Stop() }
