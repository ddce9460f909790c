package holder

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// A run that begins with few connections and makes many does not keep the collector's pace of the few.
func TestPaceFollowsMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	percent := func() uint64 {
		now := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(now)
		return now[0].Value.Uint64()
	}
	m := newMemory()
	defer m.close()
	m.begin()
	before := percent()
	held := make([]byte, 64<<20)
	runtime.GC()
	m.follow()
	if during := percent(); before < 200 || during > 75 {
		t.Errorf("%d %% with little memory, %d %% with %d bytes", before, during, len(held))
	}
	runtime.KeepAlive(held)
	m.end()
	m.follow()
	if after := percent(); after != restPercent {
		t.Errorf("%d %% after the run", after)
	}
}
