package persist

import (
	"context"
	"errors"
	"runtime/pprof"
	"sync"
	"testing"

	"shoal/fleet"
	"shoal/simfleet"
)

// BenchmarkHeld measures a further command on connections that the holder has: run, holder and servers
// are included. The servers have the label side=server in a profile.
func BenchmarkHeld(b *testing.B) {
	const hosts = 500
	var f *simfleet.Fleet
	var err error
	pprof.Do(context.Background(), pprof.Labels("side", "server"), func(ctx context.Context) {
		f, err = simfleet.Start(ctx, simfleet.Options{Hosts: hosts, DiscardLog: true})
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	r := &rig{den: newDen(b), fleet: f}
	r.again(b, Options{})
	all := func() {
		next := make(chan int) // sent and closed here
		var workers sync.WaitGroup
		for range 32 {
			workers.Go(func() {
				for i := range next {
					a, _ := r.attempt(i, "true")
					if end := run(b.Context(), r.Dialer, a); end.Outcome != fleet.OutcomeOK {
						b.Error(errors.Join(errors.New("a command failed"), end.Err))
					}
				}
			})
		}
		for i := range hosts {
			next <- i
		}
		close(next)
		workers.Wait()
	}
	all()
	b.ReportAllocs()
	for b.Loop() {
		all()
	}
	b.ReportMetric(float64(b.N*hosts)/b.Elapsed().Seconds(), "commands/s")
}
