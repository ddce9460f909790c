package run

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// FreeMemory starts releaseWhenQuiet and returns the function that ends it.
func FreeMemory() (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { releaseWhenQuiet(stop); close(ended) }()
	return func() { close(stop); <-ended }
}

// releaseWhenQuiet returns memory to the system whenever the run allocates
// little: waiting for ten thousand commands needs far less than starting them.
// It returns when stop is closed.
func releaseWhenQuiet(stop <-chan struct{}) {
	const (
		every = 2 * time.Second
		quiet = 8 << 20 // bytes allocated per interval; keepalives alone stay below
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
