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
	"slices"
	"strconv"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/connect"
)

// FleetOptions describe a simulated fleet to start.
type FleetOptions struct {
	// Program is the command line of the fleet: it takes the flags of shoal
	// fleet, prints a line on standard output when it is ready, and exits when
	// its standard input ends. Required.
	Program []string
	// Hosts is the number of servers; 1 makes every target the same server.
	Hosts int
	// Latency and Jitter are per direction.
	Latency, Jitter time.Duration
	// MaxStartups has the format of shoal fleet; "" drops no connection.
	MaxStartups string
	// Seed determines all keys; "" means "bench".
	Seed string
}

// Settings returns o as it is recorded.
func (o FleetOptions) Settings() *benchrecord.FleetSettings {
	return &benchrecord.FleetSettings{Hosts: o.Hosts, Latency: o.Latency, Jitter: o.Jitter, MaxStartups: o.MaxStartups}
}

// Files in the fleet's directory that a client needs.
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

// A Fleet is a simulated fleet in its own process, so that this process's CPU
// and memory are the client's alone. It ends with Close, and with this process
// in any case: its standard input is a pipe from here. Its directory stays
// behind if this process is killed.
type Fleet struct {
	dir   string
	child *child
	hosts []fleet.Host

	stop     func() // cancels the context that StartFleet returned
	watching sync.WaitGroup
}

// StartFleet starts a fleet and waits until it serves. The returned context
// ends with ctx, or when the fleet exits, with that as its cause. The caller
// must call Close.
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
	list, err := hosts.Load(hosts.Options{Files: []string{filepath.Join(f.dir, hostsFile)}})
	if err != nil {
		return nil, nil, err
	}
	f.hosts = slices.Collect(list.Hosts())
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

// Connect returns the options to reach the fleet's hosts.
func (f *Fleet) Connect() connect.Options {
	return connect.Options{
		SSHConfig:  "none",
		User:       "bench",
		Identities: []string{filepath.Join(f.dir, keyFile)},
		KnownHosts: []string{filepath.Join(f.dir, knownHostsFile)},
		Agent:      connect.NoAgent,
	}
}

// Targets lists n targets. Hosts repeat only when n exceeds their number.
func (f *Fleet) Targets(n int) iter.Seq[fleet.Target] { return Cycle(f.hosts)(n) }

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
