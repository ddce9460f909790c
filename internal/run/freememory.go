package run

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// FreeMemory has the garbage collector follow what the run needs, and returns the function that
// ends it.
func FreeMemory() (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { followMemory(stop); close(ended) }()
	return func() { close(stop); <-ended }
}

// followMemory sets how much may be allocated between two collections, unless the environment
// does, and returns memory to the system whenever the run allocates little: waiting for ten
// thousand commands needs far less than starting them. It returns when stop is closed.
func followMemory(stop <-chan struct{}) {
	const (
		every = 2 * time.Second
		quiet = 8 << 20 // bytes allocated per interval; keepalives alone stay below
	)
	read := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(read)
	paced := os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == ""
	if paced {
		was := debug.SetGCPercent(gcPercent(read[1].Value.Uint64()))
		defer debug.SetGCPercent(was)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, released := read[0].Value.Uint64(), false
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		metrics.Read(read)
		if paced {
			debug.SetGCPercent(gcPercent(read[1].Value.Uint64()))
		}
		now := read[0].Value.Uint64()
		switch {
		case now-last > quiet:
			released = false
		case !released:
			debug.FreeOSMemory()
			released = true
		}
		last = now
	}
}

// gcPercent returns the value for debug.SetGCPercent with that many bytes in use after the last
// collection: 32 MiB may be allocated until the next one, so that a small run hardly collects,
// and of a large one's memory not half is garbage.
func gcPercent(live uint64) int {
	const room, least, most = 32 << 20, 50, 400
	return int(max(least, min(most, room*100/max(live, 1))))
}
