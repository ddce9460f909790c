package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time of this process so far (getrusage(2)).
func cpuTime() (user, system time.Duration) {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0, 0
	}
	return time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
}

// resident returns VmRSS of a process (proc_pid_status(5)), in bytes.
func resident(pid string) (int64, error) { return statusSize(pid, "VmRSS:") }

// peakResident returns VmHWM of a process, in bytes.
func peakResident(pid string) (int64, error) { return statusSize(pid, "VmHWM:") }

func statusSize(pid, name string) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		return 0, fmt.Errorf("reading what is resident: %w", err)
	}
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 3 && fields[0] == name {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("reading what is resident: no %s", name)
}

// openSockets returns the number of a process's sockets.
func openSockets(pid string) (int, error) {
	dir := filepath.Join("/proc", pid, "fd")
	names, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("reading what is open: %w", err)
	}
	n := 0
	for _, name := range names {
		if to, err := os.Readlink(filepath.Join(dir, name.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n, nil
}

// clockTicks is USER_HZ, which is 100 on every architecture that Go supports.
const clockTicks = 100

// familyTime returns the CPU time of a process and of all children it has
// waited for (proc_pid_stat(5), fields 14 to 17), with a resolution of 10 ms.
func familyTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the server's CPU time: %w", err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from field 3 on
	if len(fields) < 15 {
		return 0, fmt.Errorf("reading the server's CPU time: %q", text)
	}
	var ticks int64
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the server's CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / clockTicks, nil
}

// A side is the set of processors of the client or of the servers.
type side struct{ set unix.CPUSet }

// sides gives the client the last usable processor, and the servers all others.
// With a single processor both share it.
func sides() (clients, servers side, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return clients, servers, fmt.Errorf("reading which processors there are: %w", err)
	}
	servers.set = all
	for i := len(all) * strconv.IntSize; i >= 0; i-- {
		if all.IsSet(i) {
			clients.set.Set(i)
			break
		}
	}
	if all.Count() > 1 {
		for i := range len(all) * strconv.IntSize {
			if clients.set.IsSet(i) {
				servers.set.Clear(i)
			}
		}
	}
	return clients, servers, nil
}

// start calls do, which starts a process, on a thread bound to the side's
// processors: the process inherits the binding.
func (s side) start(do func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("reading which processors there are: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &s.set); err != nil {
		return fmt.Errorf("choosing a processor: %w", err)
	}
	defer func() {
		if back := unix.SchedSetaffinity(0, &before); err == nil && back != nil {
			err = fmt.Errorf("giving a processor back: %w", back)
		}
	}()
	return do()
}

// ownGroup starts a server in its own process group: Ctrl-C goes to this
// process only, which ends the server.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
}

// raiseFiles raises the limit of open files to its maximum; children inherit
// it.
func raiseFiles() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raising the limit of open files: %w", err)
	}
	return nil
}

// load returns the load averages (/proc/loadavg).
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}
