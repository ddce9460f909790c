package openssh

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"
)

// While stop may signal it, the id of a program that has exited is its own.
func TestAwaitExit(t *testing.T) {
	c := exec.Command("true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if !awaitExit(c.Process.Pid) {
		t.Fatal("it cannot wait without reaping")
	}
	if err := syscall.Kill(c.Process.Pid, 0); err != nil {
		t.Errorf("the id is free: %v", err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(c.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("after it was reaped: %v", err)
	}
	if awaitExit(c.Process.Pid) {
		t.Error("it waits for a program that was reaped")
	}
}
