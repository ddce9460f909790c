package run

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// releasing has releaseWhenQuiet work until end is called.
func releasing() (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { releaseWhenQuiet(stop); close(ended) }()
	return func() { close(stop); <-ended }
}

// releaseWhenQuiet gives memory back to the system whenever the run has become
// quiet: ten thousand commands that are waited for need far less than starting
// them did. It ends with stop.
func releaseWhenQuiet(stop <-chan struct{}) {
	const (
		every = 2 * time.Second
		quiet = 8 << 20 // bytes allocated in that time, which signs of life alone stay below
	)
	tick := time.NewTicker(every)
	defer tick.Stop()
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(allocated)
	last, released := allocated[0].Value.Uint64(), false
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		metrics.Read(allocated)
		now := allocated[0].Value.Uint64()
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
