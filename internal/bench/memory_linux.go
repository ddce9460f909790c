package bench

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
)

// resetPeak sets the peak of resident memory to what is resident now (proc(5),
// /proc/pid/clear_refs, 5). It gives false where the kernel does not allow it.
func resetPeak() bool {
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) == nil
}

// peakRSS is VmHWM (proc_pid_status(5)), in bytes.
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

// A prober reads what this process holds, many times, for three system calls
// each time: it is part of what is measured.
type prober struct {
	statm, fds *os.File // nil where /proc does not have it
	own        int      // of the two, those that are open: they are not the run's
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

// memory is what is resident, in bytes: the second number of /proc/self/statm
// (proc_pid_statm(5)).
func (p *prober) memory() int64 {
	n, err := p.statm.ReadAt(p.buf[:], 0)
	fields := bytes.Fields(p.buf[:n])
	if err != nil && !errors.Is(err, io.EOF) || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// files counts descriptors. Linux tells the number as the directory's size since
// 6.2; before, every entry has to be read.
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
