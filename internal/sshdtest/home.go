package sshdtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"shoal/internal/needs"
)

// home is where the test's directory is for a server withHome: TinySSH takes no
// home below a directory that others may write to, as the one for temporary
// files is.
const home = "/mnt"

// withHome wraps argv so that it sees a password file of its own, which knows
// the one user with that shell and the test's directory as home.
func (s *Server) withHome(t testing.TB, shell string, argv []string) []string {
	t.Helper()
	passwd := filepath.Join(s.dir, "passwd")
	write(t, passwd, fmt.Appendf(nil, "%s:*:%d:%d::%s:%s\n", s.User, os.Getuid(), os.Getgid(), home, shell), 0o644)
	wrap := []string{needs.Program(t, "/usr/bin/unshare"), "--mount"}
	if os.Geteuid() != 0 {
		// In a user namespace of its own the process keeps its uid and may
		// mount all the same.
		wrap = append(wrap, "--map-current-user", "--keep-caps")
	}
	script := `mount --bind "$0" /etc/passwd && mount --bind "$1" ` + home + ` && shift && exec "$@"`
	return append(append(wrap, "/bin/sh", "-c", script, passwd, s.dir), argv...)
}
