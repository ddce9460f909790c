package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// memoryPart measures the memory of connections that wait for their command.
func (c *comparison) memoryPart(ctx context.Context) error {
	n := c.settings.open
	fleet, end, err := c.startFleet(ctx, n)
	if err != nil {
		return err
	}
	return errors.Join(c.memoryTable(ctx, fleet, n), c.programTable(ctx, fleet, n), end())
}

// waiting is a command that outlasts every measurement.
const waiting = "sleep 3600"

func (c *comparison) memoryTable(ctx context.Context, s *server, n int) error {
	var all []turn
	for _, client := range []string{clientExpress, clientGoroutines, clientStandard, clientCrypto} {
		all = append(all, turn{client, func(ctx context.Context) (figures, error) {
			t, err := c.child(ctx, job{
				Task: taskHold, Client: client, Kex: kexHybrid,
				Hosts: s.hosts, User: s.user, Key: s.key, KnownHosts: s.knownHosts,
				Command: waiting, Connections: n, AtOnce: 64,
			})
			return t.perConnection(n), err
		}})
	}
	got, err := c.turns(ctx, "memory", all)
	if err != nil {
		return err
	}
	c.section(fmt.Sprintf("Memory of a connection that waits for its command: %d open to the simulated fleet", n), "memory",
		"client", "resident (KiB)", "× x/crypto/ssh", "heap (KiB)", "stacks (KiB)", "resident after a collection (KiB)", "heap after it (KiB)", "stacks after it (KiB)", "goroutines")
	for _, t := range all {
		kib := func(figure string) string { return fmt.Sprintf("%.1f", got.median(t.name, figure)) }
		c.row(t.name, kib("resident"), got.ratio(t.name, clientCrypto, "resident"), kib("heap"), kib("stacks"),
			kib("swept"), kib("swept heap"), kib("swept stacks"), fmt.Sprintf("%.2f", got.median(t.name, "goroutines")))
	}
	return nil
}

// perConnection returns what each of n connections added, by kind of memory, in
// KiB.
func (t taken) perConnection(n int) figures {
	each := func(after, before int64) float64 { return float64(after-before) / 1024 / float64(n) }
	return figures{
		"resident":     each(t.Open.Resident, t.Before.Resident),
		"heap":         each(t.Open.Heap, t.Before.Heap),
		"stacks":       each(t.Open.Stacks, t.Before.Stacks),
		"swept":        each(t.Swept.Resident, t.Before.Resident),
		"swept heap":   each(t.Swept.Heap, t.Before.Heap),
		"swept stacks": each(t.Swept.Stacks, t.Before.Stacks),
		"goroutines":   float64(t.Open.Goroutines-t.Before.Goroutines) / float64(n),
	}
}

// programTable measures the whole process of shoal run.
func (c *comparison) programTable(ctx context.Context, s *server, n int) error {
	names := []string{"best", "standard"} // values of --client
	var all []turn
	for _, client := range names {
		all = append(all, turn{client, func(ctx context.Context) (figures, error) { return c.heldBy(ctx, s, client, n) }})
	}
	got, err := c.turns(ctx, "shoal run", all)
	if err != nil {
		return err
	}
	c.section(fmt.Sprintf("The whole process of shoal run: %d commands that wait at once, on the simulated fleet", n), "memory",
		"client", "resident (MiB)", "× standard", "peak (MiB)", "goroutines")
	for _, name := range names {
		c.row(name, fmt.Sprintf("%.1f", got.median(name, "resident")), got.ratio(name, "standard", "resident"),
			fmt.Sprintf("%.1f", got.median(name, "peak")), fmt.Sprintf("%.0f", got.median(name, "goroutines")))
	}
	return nil
}

// heldBy runs shoal run until all commands wait, and ends it with the signal
// that makes it print its goroutines.
func (c *comparison) heldBy(ctx context.Context, s *server, client string, n int) (f figures, err error) {
	state, err := c.newState()
	if err != nil {
		return nil, err
	}
	hosts := filepath.Join(state, "hosts")
	if err := os.WriteFile(hosts, []byte(strings.Join(s.hosts[:n], "\n")+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("writing the hosts: %w", err)
	}
	cmd := exec.Command(c.settings.shoal, "run", "-F", "none", "--no-agent", "-l", s.user, "--identity", s.key,
		"--known-hosts", s.knownHosts, "--hostfile", hosts, "-f", strconv.Itoa(n), "--client", client, "--progress=never", waiting)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+state)
	if err := c.clients.start(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting shoal run: %w", err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Wait() // ended by that signal
		if err != nil {
			err = fmt.Errorf("%w: %.300q", err, said.Bytes())
			return
		}
		f["goroutines"] = float64(strings.Count("\n"+said.String(), "\ngoroutine "))
	}()
	if err := settled(ctx, cmd.Process.Pid, n); err != nil {
		return nil, err
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	now, err := resident(pid)
	if err != nil {
		return nil, err
	}
	peak, err := peakResident(pid)
	return figures{"resident": float64(now) / (1 << 20), "peak": float64(peak) / (1 << 20)}, err
}

// A process has settled when it has all its sockets and uses less than 2 % of a
// processor.
const (
	settledEvery = 500 * time.Millisecond
	settledLimit = 3 * time.Minute
)

func settled(ctx context.Context, pid, sockets int) error {
	ctx, cancel := context.WithTimeout(ctx, settledLimit)
	defer cancel()
	var before time.Duration
	for {
		open, err := openSockets(strconv.Itoa(pid))
		if err != nil {
			return err
		}
		used, err := familyTime(pid)
		if err != nil {
			return err
		}
		if open >= sockets && used-before <= settledEvery/50 {
			return nil
		}
		before = used
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d connections are open: %w", open, sockets, ctx.Err())
		case <-time.After(settledEvery):
		}
	}
}

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
