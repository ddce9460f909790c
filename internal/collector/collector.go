// Package collector has the garbage collector follow what a program does: how much is allocated between two
// collections, and when memory is returned to the system.
package collector

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// FollowRun has the collector follow what a run needs, and returns the function that ends it.
func FollowRun() (end func()) {
	// A small run hardly collects, and of a large one's memory a quarter at most is garbage.
	return start(32 << 20)
}

// FollowFleet is FollowRun for a simulated fleet, which is there to be measured against: its memory matters less
// than its time, until its hosts have much in files.
func FollowFleet() (end func()) { return start(512 << 20) }

func start(room uint64) (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { follow(room, stop); close(ended) }()
	return func() { close(stop); <-ended }
}

// follow sets how much may be allocated between two collections, see Percent, unless the environment
// does, and returns memory to the system whenever the run allocates little: waiting for ten
// thousand commands needs far less than starting them. It returns when stop is closed.
func follow(room uint64, stop <-chan struct{}) {
	const (
		every = 2 * time.Second
		quiet = 8 << 20 // bytes allocated per interval; keepalives alone stay below
	)
	read := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(read)
	paced := os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == ""
	if paced {
		was := debug.SetGCPercent(Percent(read[1].Value.Uint64(), room))
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
			debug.SetGCPercent(Percent(read[1].Value.Uint64(), room))
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

// Percent returns the value for debug.SetGCPercent with which room bytes may be allocated until the next
// collection when live are in use after the last one: 33 at least, 400 at most.
func Percent(live, room uint64) int {
	const least, most = 33, 400
	return int(max(least, min(most, room*100/max(live, 1))))
}
