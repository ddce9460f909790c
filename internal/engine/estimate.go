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
	// connCPU is what one target costs this machine: key exchange with a
	// post-quantum method, signature and session.
	connCPU = time.Millisecond
	// connTime is what a connection takes over a network of middling distance.
	connTime = 300 * time.Millisecond
	// Where the system does not tell, its range of local ports is taken to be
	// Linux's net.ipv4.ip_local_port_range (ip(7)).
	firstPort, lastPort = 32768, 60999
)

// A Estimate is what a run will need, and what there is.
type Estimate struct {
	Targets int
	// AtOnce is how many of them will be in flight at the most, Fanout how many
	// may be.
	AtOnce, Fanout int
	// Files and Memory (bytes) are for AtOnce connections. The limits are 0
	// where the system does not tell.
	Files, FilesLimit   uint64
	Memory, MemoryLimit uint64
	// Ports is how many connections there may be at once to one server, or to
	// one jump host, which has one port for all of them.
	Ports int
	// Time is the least that connecting takes, commands not counted: what this
	// machine's processors, the connections started at once and the rate allow,
	// over a network with 75 ms from end to end and back.
	Time time.Duration
	// Wall is what bounds the run first, for people: "20000 open files (ulimit
	// -n)". "" means that all targets fit at once.
	Wall string
}

// EstimateRun tells what a run over so many targets will need. The soft limit on
// open files is raised to the hard one; nothing else is changed.
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
	// A fanout that was asked for may be more than the machine carries.
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

// localPorts counts the ports that connections are made from.
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
