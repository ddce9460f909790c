package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// peaks are the maxima over all samples.
type peaks struct {
	largest   int64  // peak resident size of the largest process, bytes
	name      string // name of that process
	tree      int64  // proportional sizes (PSS) of all processes together, bytes
	processes int
}

// The interval between samples is sampleShare times the duration of the previous
// sample, within these limits: reading a proportional size walks the process's
// pages.
const (
	sampleShare  = 40
	sampleOften  = 10 * time.Millisecond
	sampleSeldom = 100 * time.Millisecond
)

// watch samples the group until stop is closed.
func (g *group) watch(stop <-chan struct{}) peaks {
	var p peaks
	for {
		begun := time.Now()
		p.take(g.pids())
		select {
		case <-stop:
			return p
		case <-time.After(min(max(sampleOften, sampleShare*time.Since(begun)), sampleSeldom)):
		}
	}
}

// take adds one sample.
func (p *peaks) take(pids []int) {
	var tree int64
	var alive int
	for _, pid := range pids {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has exited
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		alive++
		tree += kilobytes(field(rollup, "Pss"))
		if most := kilobytes(field(status, "VmHWM")); most > p.largest {
			p.largest, p.name = most, field(status, "Name")
		}
	}
	p.tree, p.processes = max(p.tree, tree), max(p.processes, alive)
}

// field returns the value of "name: value" in a file of proc(5); "" if missing.
func field(text []byte, name string) string {
	for line := range lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kilobytes converts "1234 kB" to bytes.
func kilobytes(value string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
