package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/bench/benchrecord"
)

// FleetOptions say what simulated fleet to start.
type FleetOptions struct {
	// Program is the command line that serves a fleet: it takes the flags of
	// shoal fleet, says on standard output when it is ready, and ends when its
	// standard input does. Required.
	Program []string
	// Hosts is how many there are; 1 makes every target the same server.
	Hosts int
	// Latency and Jitter are times in each direction.
	Latency, Jitter time.Duration
	// MaxStartups is as shoal fleet takes it; "" drops no connection.
	MaxStartups string
	// Seed is what all keys follow from; "" means "bench".
	Seed string
}

// Settings are o as they are recorded.
func (o FleetOptions) Settings() *benchrecord.FleetSettings {
	return &benchrecord.FleetSettings{Hosts: o.Hosts, Latency: o.Latency, Jitter: o.Jitter, MaxStartups: o.MaxStartups}
}

// The files that a client of the fleet needs, in its directory.
const (
	hostsFile      = "hosts"
	knownHostsFile = "known_hosts"
	keyFile        = "key"
)

func (o FleetOptions) arguments(dir string) []string {
	args := []string{
		"--hosts", strconv.Itoa(o.Hosts),
		"--latency", o.Latency.String(),
		"--jitter", o.Jitter.String(),
		"--seed", cmp.Or(o.Seed, "bench"),
		"--write-hosts", filepath.Join(dir, hostsFile),
		"--write-known-hosts", filepath.Join(dir, knownHostsFile),
		"--write-key", filepath.Join(dir, keyFile),
	}
	if o.MaxStartups != "" {
		args = append(args, "--max-startups", o.MaxStartups)
	}
	return args
}

// A Fleet is a simulated fleet in a process of its own, so that this process's
// figures are the client's alone. It ends with Close, and with this process
// however that ends: its standard input is a pipe of ours. A directory of files
// stays behind when this process is killed.
type Fleet struct {
	dir   string
	child *child
	list  *hosts.List

	stop     func() // ends the context that StartFleet gave
	watching sync.WaitGroup
}

// StartFleet starts one and waits until it serves. The context that it gives
// ends with ctx, and when the fleet ends by itself, with that as its cause.
// Close must be called.
func StartFleet(ctx context.Context, o FleetOptions) (_ *Fleet, serving context.Context, err error) {
	if len(o.Program) == 0 {
		return nil, nil, errors.New("starting the fleet: FleetOptions.Program is empty")
	}
	f := new(Fleet)
	if f.dir, err = os.MkdirTemp("", "shoal-bench-"); err != nil {
		return nil, nil, fmt.Errorf("starting the fleet: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("starting the fleet: %w", err)
			_ = f.Close()
		}
	}()
	args := append(o.Program[1:len(o.Program):len(o.Program)], o.arguments(f.dir)...)
	if f.child, err = startChild(exec.Command(o.Program[0], args...)); err != nil { // the caller's own program; Close ends it
		return nil, nil, err
	}
	if err = f.child.ready(ctx); err != nil {
		return nil, nil, err
	}
	if f.list, err = hosts.Load(hosts.Options{Files: []string{filepath.Join(f.dir, hostsFile)}}); err != nil {
		return nil, nil, err
	}
	watched, cancel := context.WithCancelCause(ctx)
	f.stop = func() { cancel(nil) }
	f.watching.Go(func() {
		select {
		case <-f.child.ended:
			cancel(fmt.Errorf("the fleet ended: %w", cmp.Or(f.child.err, errEnded)))
		case <-watched.Done():
		}
	})
	return f, watched, nil
}

// Connect says how its hosts are reached.
func (f *Fleet) Connect() shoal.Options {
	return shoal.Options{
		SSHConfig:  "none",
		User:       "bench",
		Identities: []string{filepath.Join(f.dir, keyFile)},
		KnownHosts: []string{filepath.Join(f.dir, knownHostsFile)},
		Agent:      shoal.NoAgent,
	}
}

// Targets lists n targets, each on a host of its own while there are hosts.
func (f *Fleet) Targets(n int) iter.Seq[fleet.Target] { return Cycle(f.list.Hosts)(n) }

// Close ends the fleet, waits for it and removes its files.
func (f *Fleet) Close() error {
	if f.stop != nil {
		f.stop()
		f.watching.Wait()
	}
	var err error
	if f.child != nil {
		err = f.child.close()
	}
	if err = errors.Join(err, os.RemoveAll(f.dir)); err != nil {
		return fmt.Errorf("ending the fleet: %w", err)
	}
	return nil
}
