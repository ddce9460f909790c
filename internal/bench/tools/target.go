package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"shoal/internal/hint"
)

// A target is what the tools connect to: many addresses of one machine.
type target struct {
	name  string // in records
	title string // in tables
	sizes []int  // ascending
	// repeats limits the repeats in the settings; 0 means no limit.
	repeats int
	// runsPrograms reports whether commands are run by a shell with programs.
	// If false, a tool that needs an interpreter on the target cannot work.
	runsPrograms bool
	// like is the name of a target with the same probe results; "" means none.
	// This one is then measured only with the tools' default key exchange.
	like string

	// file is what is copied to names in dir on each host, and digest its SHA-256; "" for targets of
	// commands. echo has the base tool run the command too.
	file, dir, digest string
	echo              bool
	cipher            string // the only one; "" leaves it to the tools
	places            string // directory here that has one for each host; "" for a simulated fleet

	port    uint16
	command string // prints want(host)
	key     string // path of the private key that may log in
	known   func(i int) string
	server  *server
}

// The ports are free, because the network namespace is our own.
const (
	sshdPort     = 2201
	startupsPort = 2202
	fleetPort    = 2203
	filesPort    = 2204
	largePort    = 2205
	smallPort    = 2206
	fleetFiles   = 2207
	relayOffset  = 100
)

// maxHosts limits the addresses, which start at 127.1.0.1.
const maxHosts = 60000

// hosts returns the first n addresses.
func hosts(n int) []string {
	list := make([]string, n)
	at := netip.AddrFrom4([4]byte{127, 1, 0, 0})
	for i := range list {
		at = at.Next()
		list[i] = at.String()
	}
	return list
}

func (t *target) largest() int { return t.sizes[len(t.sizes)-1] }

// job returns the job for size hosts with the tool's key exchange.
func (t *target) job(dir string, size int, kex string) (job, error) {
	dir = filepath.Join(dir, t.name+"-"+strconv.Itoa(size)+"-"+kex)
	return t.newJob(dir, plan{hosts: hosts(size), port: t.port, known: t.known}, kex)
}

// startTargets starts the targets of the settings. started is valid even with
// an error.
func startTargets(ctx context.Context, s Settings, root *group, dir string) (started []*target, err error) {
	var wanted []func() (*target, error)
	d := sshd{dir: dir, root: root}
	if len(s.Sizes) > 0 || s.Files {
		if d.home, err = makeAccount(dir); err != nil {
			return nil, err
		}
		if err := d.makeKeys(ctx); err != nil {
			return nil, err
		}
	}
	if len(s.Sizes) > 0 {
		wanted = append(wanted,
			func() (*target, error) {
				return d.start(ctx, target{
					name: "openssh", title: "Real OpenSSH, one server under many addresses",
					sizes: s.Sizes, port: sshdPort,
				}, openGates)
			},
			func() (*target, error) {
				return d.start(ctx, target{
					name: "openssh-startups", title: "Real OpenSSH with its default MaxStartups 10:30:100",
					sizes: s.Sizes[len(s.Sizes)-1:], port: startupsPort, repeats: 1, like: "openssh",
				}, "10:30:100")
			})
	}
	if len(s.FleetSizes) > 0 {
		wanted = append(wanted, func() (*target, error) {
			return startFleet(ctx, s, root, dir, &target{
				name: "fleet", title: fmt.Sprintf("Simulated fleet, round trip %v", 2*s.Latency), sizes: s.FleetSizes, port: fleetPort,
			})
		})
	}
	if s.Files {
		wanted = append(wanted, filesOn(ctx, s, d, root, dir)...)
	}
	for _, start := range wanted {
		t, err := start()
		if err != nil {
			return started, err
		}
		started = append(started, t)
	}
	return started, nil
}

// checkAlone returns an error if anyone else could connect: sshd has to listen
// on every address to be reachable under many.
func checkAlone() error {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("listing network interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			return hint.Wrap(fmt.Errorf("network interface %s is up: this is not a network of our own", i.Name),
				"make bench-peers, or internal/bench/tools/run bin/peers")
		}
	}
	if os.Geteuid() != 0 {
		return hint.New("sshd and the control groups need root", "make bench-peers as root")
	}
	return nil
}
