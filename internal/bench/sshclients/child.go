package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

// childArg as the only argument makes this program a child.
const childArg = "child"

// serveChild does one job.
func serveChild(ctx context.Context, in io.Reader, out io.Writer) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	t, err := j.do(ctx)
	if err != nil {
		return fmt.Errorf("%s with %s: %w", j.Task, j.Client, err)
	}
	return json.NewEncoder(out).Encode(t)
}

func (j job) do(ctx context.Context) (taken, error) {
	if j.Task == taskCrypto {
		return j.cryptography()
	}
	a, err := j.access()
	if err != nil {
		return taken{}, err
	}
	if j.Task == taskFlights {
		return j.flights(ctx, a)
	}
	c, err := j.open(ctx, a)
	if err != nil {
		return taken{}, err
	}
	var t taken
	if j.Task == taskHold {
		t, err = j.hold(ctx, c)
	} else {
		t, err = j.connect(ctx, c)
	}
	return t, errors.Join(err, c.close())
}

// A measuredClient makes connections. Its methods are safe for concurrent use.
type measuredClient interface {
	// run runs the job's command on host i and waits for its end.
	run(ctx context.Context, i int) error
	// hold runs the command until ctx ends. It calls done once, when the
	// command has ended.
	hold(ctx context.Context, i int, done func()) error
	close() error
}

// A batch is a client that distributes connections over goroutines by itself.
type batch interface {
	many(ctx context.Context, n, atOnce int) error
}

// connect makes the connections and measures their cost.
func (j job) connect(ctx context.Context, c measuredClient) (taken, error) {
	if !j.Cold {
		// Connect to every host once, so that it is known and the heap has
		// grown.
		if err := j.spread(ctx, c, max(len(j.Hosts), min(j.AtOnce, j.Connections)), j.AtOnce); err != nil {
			return taken{}, err
		}
		runtime.GC()
	}
	return j.measured(func() error { return j.spread(ctx, c, j.Connections, j.AtOnce) })
}

// measured measures the cost of do.
func (j job) measured(do func() error) (t taken, err error) {
	stop, err := profile(j.CPUProfile)
	if err != nil {
		return t, err
	}
	user, system := cpuTime()
	begun := time.Now()
	err = do()
	t.Wall = time.Since(begun)
	userAfter, systemAfter := cpuTime()
	t.User, t.System = userAfter-user, systemAfter-system
	return t, errors.Join(err, stop())
}

// spread makes n connections, at most atOnce of them at a time.
func (j job) spread(ctx context.Context, c measuredClient, n, atOnce int) error {
	if b, ok := c.(batch); ok {
		return b.many(ctx, n, atOnce)
	}
	return each(ctx, n, atOnce, func(ctx context.Context, i int) error { return c.run(ctx, i) })
}

// each calls do with 0 to n-1 on atOnce goroutines. The first error ends it.
func each(ctx context.Context, n, atOnce int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int) // sent and closed below, received by the workers
	var workers sync.WaitGroup
	for range min(atOnce, n) {
		workers.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(fmt.Errorf("connection %d: %w", i, err))
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// profile writes a CPU profile to path until stop is called.
func profile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("opening a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
