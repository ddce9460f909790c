package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// startIn starts cmd as a member of the control group from its first moment
// (clone3(2), CLONE_INTO_CGROUP), away from the terminal's signals.
func startIn(cmd *exec.Cmd, group string) error {
	dir, err := os.Open(group)
	if err != nil {
		return fmt.Errorf("opening a control group: %w", err)
	}
	defer func() { _ = dir.Close() }() // only read from
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Setpgid: true}
	return cmd.Start()
}

// raiseFiles gives all that is started as many open files as this process may
// have, so that no tool fails at 1,024 hosts because of the shell it began in.
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
