package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
)

// holdWarmup is the number of connections made and closed before the held ones,
// so that one-time allocations are not counted.
const holdWarmup = 50

// hold opens the connections, waits until all of them wait for their command,
// and measures the memory.
func (j job) hold(ctx context.Context, c measuredClient) (t taken, err error) {
	release, err := j.openAll(ctx, c, holdWarmup)
	release()
	if err != nil {
		return t, err
	}
	debug.FreeOSMemory()
	if t.Before, err = readMemory(); err != nil {
		return t, err
	}
	release, err = j.openAll(ctx, c, j.Connections)
	defer release()
	if err != nil {
		return t, err
	}
	if t.Open, err = readMemory(); err != nil {
		return t, err
	}
	debug.FreeOSMemory()
	if t.Swept, err = readMemory(); err != nil {
		return t, err
	}
	return t, heapProfile(j.MemProfile)
}

// openAll opens n connections whose commands run until release is called;
// release waits for their end.
func (j job) openAll(ctx context.Context, c measuredClient, n int) (release func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	err = each(ctx, n, j.AtOnce, func(_ context.Context, i int) error {
		running.Add(1)
		return c.hold(ctx, i, running.Done)
	})
	if err != nil { // the process is about to exit
		return cancel, err
	}
	return func() {
		cancel()
		running.Wait()
	}, nil
}

// readMemory reads the resident size first: reading the rest allocates.
func readMemory() (m memory, err error) {
	if m.Resident, err = resident("self"); err != nil {
		return m, err
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.Heap, m.Stacks = int64(stats.HeapAlloc), int64(stats.StackInuse)
	m.Goroutines = runtime.NumGoroutine()
	return m, nil
}

func heapProfile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("opening a profile: %w", err)
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}
