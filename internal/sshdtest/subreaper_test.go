package sshdtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shoal/internal/sshdtest"
)

// A command leaves a process behind that waits for a pipe. The server is idle
// only when that process has ended, not already when the connection has.
func TestWaitIdle(t *testing.T) {
	t.Parallel()
	for _, kind := range sshdtest.Kinds() {
		if !kind.Has(sshdtest.Subreaper) {
			continue
		}
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			s := kind.Start(t, sshdtest.WithSubreaper())
			s.WaitIdle(t)
			pipe, done := filepath.Join(t.TempDir(), "pipe"), filepath.Join(t.TempDir(), "done")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			command := "(read line <" + pipe + "; echo $line >" + done + ") >/dev/null 2>&1 </dev/null & echo left"
			if out, err := overSSH(t, s, command); out != "left\n" || err != nil {
				t.Fatalf("output %q, error %v, want %q", out, err, "left\n")
			}
			go func() {
				// Opening blocks until the reader opens it; no connection waits
				// for the reader any more.
				_ = os.WriteFile(pipe, []byte("whole\n"), 0o600)
			}()
			s.WaitIdle(t)
			if text, err := os.ReadFile(done); strings.TrimSpace(string(text)) != "whole" {
				t.Errorf("the server is idle, and what it started has written %q, %v", text, err)
			}
		})
	}
}
