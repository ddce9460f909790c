package bench

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
)

// resetPeak resets the peak of resident memory to the current value (proc(5),
// /proc/pid/clear_refs, 5). It returns false if the kernel does not allow it.
func resetPeak() bool {
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) == nil
}

// peakRSS returns VmHWM (proc_pid_status(5)), in bytes.
func peakRSS() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		if rest, found := bytes.CutPrefix(line, []byte("VmHWM:")); found {
			kib, _ := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// A prober reads this process's memory and open files with three system calls
// per sample, because its cost is part of the measurement.
type prober struct {
	statm, fds *os.File // nil if /proc does not have it
	own        int      // number of these files that are open: they are not counted for the run
	buf        [64]byte
}

func newProber() *prober {
	p := new(prober)
	p.statm, _ = os.Open("/proc/self/statm")
	p.fds, _ = os.Open("/proc/self/fd")
	for _, f := range []*os.File{p.statm, p.fds} {
		if f != nil {
			p.own++
		}
	}
	return p
}

func (p *prober) close() {
	_ = p.statm.Close()
	_ = p.fds.Close()
}

// memory returns the resident memory in bytes: the second number of
// /proc/self/statm (proc_pid_statm(5)).
func (p *prober) memory() int64 {
	n, err := p.statm.ReadAt(p.buf[:], 0)
	fields := bytes.Fields(p.buf[:n])
	if err != nil && !errors.Is(err, io.EOF) || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// files returns the number of open descriptors. Since Linux 6.2 it is the
// directory's size; before, every entry has to be read.
func (p *prober) files() int {
	info, err := p.fds.Stat()
	if err != nil {
		return 0
	}
	if info.Size() > 0 {
		return int(info.Size()) - p.own
	}
	if _, err := p.fds.Seek(0, io.SeekStart); err != nil {
		return 0
	}
	names, err := p.fds.Readdirnames(-1)
	if err != nil {
		return 0
	}
	return len(names) - p.own
}
