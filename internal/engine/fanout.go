package engine

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

const (
	reservedFiles = 64        // descriptors reserved for files, agent, terminal
	connMemory    = 160 << 10 // resident bytes of one open connection, output not counted
	minFanout     = 16
	maxFanout     = 1 << 20
)

// A Fanout is a number of targets in flight and what limits it.
type Fanout struct {
	Fanout int
	Bound  string // for people, such as "20,000 open files (ulimit -n)"
}

// DefaultFanout returns the number of connections that this machine can handle: one
// for each open file, less a reserve, within half of the free memory. It raises the
// soft limit on open files to the hard one.
func DefaultFanout() Fanout {
	width := Fanout{Fanout: maxFanout, Bound: "the largest fanout there is"}
	if limit, ok := raiseFileLimit(); ok {
		if n := int(min(limit, maxFanout)) - openFiles() - reservedFiles; n < width.Fanout {
			width = Fanout{n, fmt.Sprintf("%d open files (ulimit -n)", limit)}
		}
	}
	if free, from, ok := freeMemory(); ok {
		if n := int(min(free/2/connMemory, maxFanout)); n < width.Fanout {
			width = Fanout{n, fmt.Sprintf("%d MiB of free memory (%s)", free>>20, from)}
		}
	}
	width.Fanout = max(width.Fanout, minFanout)
	return width
}

// DefaultMaxHeld returns a quarter of the free memory, or 1 GiB if the system does
// not report it.
func DefaultMaxHeld() int64 {
	free, _, ok := freeMemory()
	if !ok {
		return 1 << 30
	}
	return int64(min(free/4, math.MaxInt64))
}

// openFiles counts this process's descriptors; 0 if the system does not report
// them.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// freeMemory returns the bytes that the kernel estimates to be available without
// swapping, or what the control group has left if that is less. ok is false if
// neither is reported.
func freeMemory() (bytes uint64, from string, ok bool) {
	if free, found := memAvailable("/proc/meminfo"); found {
		bytes, from, ok = free, "MemAvailable", true
	}
	if left, found := groupMemory("/sys/fs/cgroup"); found && (!ok || left < bytes) {
		bytes, from, ok = left, "control group", true
	}
	return bytes, from, ok
}

// memAvailable reads MemAvailable (proc_meminfo(5)), in bytes.
func memAvailable(path string) (uint64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		rest, found := strings.CutPrefix(lines.Text(), "MemAvailable:")
		if !found {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		return kib << 10, err == nil
	}
	return 0, false
}

// groupMemory returns memory.max less memory.current (cgroups(7), version 2), in
// bytes; false if there is no limit.
func groupMemory(dir string) (uint64, bool) {
	limit, ok := readNumber(dir + "/memory.max")
	if !ok {
		return 0, false
	}
	used, ok := readNumber(dir + "/memory.current")
	if !ok {
		return 0, false
	}
	return limit - min(used, limit), true
}

func readNumber(path string) (uint64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
