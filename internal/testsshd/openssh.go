package testsshd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// privsepDir is compiled into Debian's sshd; it must exist when sshd starts as
// root.
const privsepDir = "/run/sshd"

// OpenSSH starts sshd. It takes public keys only, has no PAM, and logs at
// LogLevel VERBOSE; WithConfig overrides any of it.
func OpenSSH(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := apply(opts)
	bin := binary(t, "/usr/sbin/sshd")
	if os.Geteuid() == 0 {
		if err := os.MkdirAll(privsepDir, 0o755); err != nil {
			t.Fatalf("making sshd's privilege separation directory: %v", err)
		}
	}
	s := newServer(t)
	config := append([]string{}, o.config...)
	for _, kind := range o.hostKeys {
		path := filepath.Join(s.dir, "host_"+string(kind))
		s.HostKeys = append(s.HostKeys, generateKey(t, kind, path).PublicKey())
		config = append(config, "HostKey "+path)
	}
	config = append(config,
		"AuthorizedKeysFile "+s.authorizedKeys(),
		// A home of its own: the login shell reads no rc files of this machine's
		// user, which may print, or take half a second each time.
		"SetEnv "+markName+"="+s.dir+" HOME="+s.dir,
		"PidFile none",
		"LogLevel VERBOSE",
		"StrictModes no",
		"UsePAM no",
		"UseDNS no",
		"PermitRootLogin yes",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PrintMotd no",
		"PrintLastLog no",
	)
	path := filepath.Join(s.dir, "sshd_config")
	write(t, path, []byte(strings.Join(config, "\n")+"\n"), 0o600)

	port, proc := startOnFreePort(t, s.dir, func(port uint16) launch {
		return launch{
			// sshd runs itself again for each connection and insists on an
			// absolute path for that.
			argv: append([]string{
				bin, "-D", "-e", "-f", path,
				"-o", fmt.Sprintf("ListenAddress=%s:%d", loopback, port),
			}, o.args...),
			up:   fmt.Sprintf("Server listening on %s port %d.", loopback, port),
			busy: fmt.Sprintf("Bind to port %d on %s failed: Address already in use", port, loopback),
		}
	})
	s.listensOn(t, port, proc)
	return s
}
