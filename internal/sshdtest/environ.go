package sshdtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"shoal/internal/needs"
)

// environ reads a process's environment (proc_pid_environ(5)). During execve(2)
// it is empty for a moment; reading is then repeated, because the process would
// be mistaken for an unrelated one.
func environ(pid int) ([]byte, error) {
	const attempts = 50 // one per millisecond; then the environment is really empty
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

// program reports whether a process is neither a zombie nor a kernel thread
// (proc_pid_stat(5)): those never have an environment.
func program(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name before the last parenthesis may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, flags = 0, 6
	if len(fields) <= flags {
		return false
	}
	const kernelThread = 0x00200000 // PF_KTHREAD, include/linux/sched.h
	bits, err := strconv.ParseUint(string(fields[flags]), 10, 64)
	return err == nil && bits&kernelThread == 0 && !bytes.ContainsAny(fields[state], "ZX")
}

// home is where a server under withHome sees the test's directory: TinySSH
// rejects a home below a directory that others may write to, such as /tmp.
const home = "/mnt"

// withHome wraps argv so that the server sees its own password file, with a
// single user whose home is the test's directory.
func (s *Server) withHome(t testing.TB, shell string, argv []string) []string {
	t.Helper()
	passwd := filepath.Join(s.dir, "passwd")
	write(t, passwd, fmt.Appendf(nil, "%s:*:%d:%d::%s:%s\n", s.User, os.Getuid(), os.Getgid(), home, shell), 0o644)
	wrap := []string{needs.Program(t, "/usr/bin/unshare"), "--mount"}
	if os.Geteuid() != 0 {
		// In its own user namespace the process keeps its uid but may mount.
		wrap = append(wrap, "--map-current-user", "--keep-caps")
	}
	script := `mount --bind "$0" /etc/passwd && mount --bind "$1" ` + home + ` && shift && exec "$@"`
	return append(append(wrap, "/bin/sh", "-c", script, passwd, s.dir), argv...)
}
