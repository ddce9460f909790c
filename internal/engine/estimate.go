package engine

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	// connCPU is the CPU time of one target on this machine: key exchange with a
	// post-quantum method, signature and session.
	connCPU = time.Millisecond
	// connTime is the time to connect over a network of medium distance.
	connTime = 300 * time.Millisecond
	// Without information from the system, the range of local ports is taken to be
	// Linux's net.ipv4.ip_local_port_range (ip(7)).
	firstPort, lastPort = 32768, 60999
)

// An Estimate compares what a run needs with what this machine has.
type Estimate struct {
	Targets int
	// AtOnce is the largest number of targets in flight, Fanout its limit.
	AtOnce, Fanout int
	// Files and Memory (bytes) are for AtOnce connections. The limits are 0 if the
	// system does not report them.
	Files, FilesLimit   uint64
	Memory, MemoryLimit uint64
	// Ports is the largest number of connections to one server at the same time, or to
	// one jump host's address and port.
	Ports int
	// Time is the minimum time for connecting, without the commands: limited by this
	// machine's processors, Dials and Rate, over a network with a round-trip time of
	// 75 ms.
	Time time.Duration
	// Wall is the first limit that the run meets, for people: "20000 open files
	// (ulimit -n)". "" means that all targets fit at the same time.
	Wall string
}

// EstimateRun estimates what a run over this number of targets needs. It raises the
// soft limit on open files to the hard one and changes nothing else.
func EstimateRun(opts Options, targets int) Estimate {
	width := DefaultFanout()
	wall := width.Bound
	if opts.Fanout > 0 && opts.Fanout <= width.Fanout {
		wall = fmt.Sprintf("a fanout of %d", opts.Fanout)
	}
	opts = opts.withDefaults()
	f := Estimate{
		Targets: targets,
		Fanout:  opts.Fanout,
		AtOnce:  min(targets, opts.Fanout),
		Ports:   localPorts("/proc/sys/net/ipv4/ip_local_port_range"),
	}
	f.Files = uint64(f.AtOnce + reservedFiles)
	f.Memory = uint64(f.AtOnce) * connMemory
	if limit, ok := raiseFileLimit(); ok {
		f.FilesLimit = limit
	}
	if free, _, ok := freeMemory(); ok {
		f.MemoryLimit = free
	}
	f.Time = leastTime(opts, targets)
	// A requested fanout may exceed what the machine can handle.
	if min(targets, width.Fanout) < targets || f.AtOnce < targets {
		f.Wall = wall
	}
	return f
}

func leastTime(opts Options, targets int) time.Duration {
	n := time.Duration(targets)
	least := max(
		n*connCPU/time.Duration(runtime.GOMAXPROCS(0)),
		n*connTime/time.Duration(min(opts.Dials, opts.Fanout)),
		min(n, 1)*connTime,
	)
	if opts.Rate > 0 {
		least = max(least, time.Duration(float64(max(targets-1, 0))/opts.Rate*float64(time.Second)))
	}
	return least
}

// localPorts returns the number of local ports for outgoing connections.
func localPorts(path string) int {
	if text, err := os.ReadFile(path); err == nil {
		if fields := strings.Fields(string(text)); len(fields) == 2 {
			first, err1 := strconv.Atoi(fields[0])
			last, err2 := strconv.Atoi(fields[1])
			if err1 == nil && err2 == nil && first <= last && last <= math.MaxUint16 {
				return last - first + 1
			}
		}
	}
	return lastPort - firstPort + 1
}
