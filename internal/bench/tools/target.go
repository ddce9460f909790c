package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// A target is what the tools connect to: many addresses of one machine.
type target struct {
	name  string // in records
	title string // in tables
	sizes []int  // ascending
	// repeats bounds those of the settings; 0 means no bound.
	repeats int
	// runsPrograms says that commands are run by a shell with programs. Where
	// it is false, a tool that needs one on the target cannot work.
	runsPrograms bool
	// like is the name of the target that this one does not differ from in what
	// the probes look at; "" means none. It is measured with the tools' own
	// choice of key exchange only.
	like string

	port    uint16
	command string // writes want(host)
	key     string // path of the private key that may log in
	known   func(i int) string
	server  *server
}

// The ports are free: the network is our own.
const (
	sshdPort     = 2201
	startupsPort = 2202
	fleetPort    = 2203
	relayOffset  = 100
)

// maxHosts is what the addresses are kept to, 127.1.0.1 and on.
const maxHosts = 60000

// hosts gives the first n addresses.
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

// job is that of size hosts, with the tool's key exchange.
func (t *target) job(dir string, size int, kex string) (job, error) {
	dir = filepath.Join(dir, t.name+"-"+strconv.Itoa(size)+"-"+kex)
	return t.newJob(dir, plan{hosts: hosts(size), port: t.port, known: t.known}, kex)
}

// startTargets starts what the settings ask for; what was started is given with
// an error too.
func startTargets(ctx context.Context, s Settings, root *group, dir string) (started []*target, err error) {
	var wanted []func() (*target, error)
	if len(s.Sizes) > 0 {
		home, err := makeAccount(dir)
		if err != nil {
			return nil, err
		}
		d := sshd{dir: dir, home: home, root: root}
		if err := d.makeKeys(ctx); err != nil {
			return nil, err
		}
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
		wanted = append(wanted, func() (*target, error) { return startFleet(ctx, s, root, dir) })
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

// checkAlone refuses to serve where somebody else could connect: sshd has to
// listen on every address to be reached under many.
func checkAlone() error {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("listing network interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			return fmt.Errorf("network interface %s is up: this is not a network of our own\nhint: make bench-peers, or internal/bench/tools/run bin/peers", i.Name)
		}
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("sshd and the control groups need root\nhint: make bench-peers as root")
	}
	return nil
}
