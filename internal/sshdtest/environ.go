package sshdtest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// environ reads a process's environment (proc_pid_environ(5)). In the middle of
// execve(2) a process has none for a moment; then it is asked again, because it
// would be taken for one of somebody else's.
func environ(pid int) ([]byte, error) {
	const attempts = 50 // a millisecond apart: who has none for so long has none
	var text []byte
	for range attempts {
		var err error
		if text, err = os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err != nil || len(text) > 0 {
			return text, err
		}
		if !program(pid) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return text, nil
}

// program says whether a process is neither a zombie nor a thread of the kernel
// (proc_pid_stat(5)): those have no environment and never will.
func program(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name before the last parenthesis may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, flags = 0, 6
	if len(fields) <= flags {
		return false
	}
	const kernelThread = 0x00200000 // PF_KTHREAD, include/linux/sched.h
	bits, err := strconv.ParseUint(string(fields[flags]), 10, 64)
	return err == nil && bits&kernelThread == 0 && !bytes.ContainsAny(fields[state], "ZX")
}
