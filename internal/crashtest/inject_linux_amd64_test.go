package crashtest

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

const canFail = true

// skipCall has the kernel do nothing for the system call that a thread enters.
func skipCall(tid int) error {
	return changeRegisters(tid, func(r *unix.PtraceRegs) { r.Orig_rax = ^uint64(0) })
}

// returnError sets the result of the system call that a thread leaves.
func returnError(tid int, errno syscall.Errno) error {
	return changeRegisters(tid, func(r *unix.PtraceRegs) { r.Rax = -uint64(errno) })
}

func changeRegisters(tid int, change func(*unix.PtraceRegs)) error {
	var r unix.PtraceRegs
	err := unix.PtraceGetRegs(tid, &r)
	if err == nil {
		change(&r)
		err = unix.PtraceSetRegs(tid, &r)
	}
	if errors.Is(err, unix.ESRCH) {
		return nil // killed meanwhile
	}
	return err
}
