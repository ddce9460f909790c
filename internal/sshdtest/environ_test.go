package sshdtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A process that mostly calls execve is never seen without its environment.
func TestEnvironOfOneThatExecutes(t *testing.T) {
	script := filepath.Join(t.TempDir(), "again")
	write(t, script, []byte("[ $1 -gt 0 ] || exit 0\nexec /bin/sh $0 $(($1 - 1))\n"), 0o600)
	cmd := exec.Command("/bin/sh", script, "500")
	cmd.Env = []string{markName + "=" + script}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	for runs(pid) {
		env, err := environ(pid)
		if err == nil && !bytes.Contains(env, []byte(script)) && runs(pid) {
			t.Errorf("the environment is %q", env)
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// runs reports whether a child of ours is still running.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z"))
}
