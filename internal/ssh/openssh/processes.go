package openssh

import (
	"syscall"
	"time"
)

const (
	// ProcessMemory is what one process of ssh may take, in bytes: of OpenSSH 9.2, 8 MB are
	// resident, of which 1.5 MB are its own, and it buffers up to 2 MiB in each direction.
	ProcessMemory = 10 << 20
	// ProcessFiles is the number of open files here for one process: the connection, three
	// pipes, the control socket and a handle.
	ProcessFiles = 6
	// ProcessTime is the processor time of one connection.
	ProcessTime = 20 * time.Millisecond

	minProcesses, maxProcesses = 4, 1000
	unknownProcesses           = 100 // where the free memory is not known
	otherFiles                 = 100 // open files for everything else
)

// Processes returns how many processes of ssh this machine can run at once: as many as take half
// of the memory that is free now, and have open files left, at least 4 and at most 1,000.
func Processes() int {
	n := uint64(unknownProcesses)
	if free := available(); free > 0 {
		n = free / 2 / ProcessMemory
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		limit := uint64(files.Cur) //nolint:unconvert // its type differs between systems
		n = min(n, (max(limit, otherFiles)-otherFiles)/ProcessFiles)
	}
	return int(min(max(n, minProcesses), maxProcesses))
}
