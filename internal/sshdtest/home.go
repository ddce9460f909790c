package sshdtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"shoal/internal/needs"
)

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
