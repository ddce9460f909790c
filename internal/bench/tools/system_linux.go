package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// startIn starts cmd as a member of the control group from the beginning
// (clone3(2), CLONE_INTO_CGROUP), in its own process group, out of reach of the
// terminal's signals.
func startIn(cmd *exec.Cmd, group string) error {
	dir, err := os.Open(group)
	if err != nil {
		return fmt.Errorf("opening a control group: %w", err)
	}
	defer func() { _ = dir.Close() }() // opened for reading only
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Setpgid: true}
	return cmd.Start()
}

// raiseFiles raises the limit of open files of all children to this process's
// maximum, so that no tool fails at 1,024 hosts because of the shell's limit.
func raiseFiles() (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("reading the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("raising the limit of open files: %w", err)
	}
	return l.Cur, nil
}
