package testsshd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Dropbear starts a Dropbear server that takes public keys only.
//
// Dropbear 2022.83 looks for authorized_keys only below the home directory that
// getpwnam(3) gives. So it runs in a mount namespace of its own, in which
// /etc/passwd knows the one user, with the test's directory as home.
func Dropbear(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := apply(opts)
	bin := binary(t, "/usr/sbin/dropbear")
	s := newServer(t)
	// In the foreground, log to standard error, no passwords, and the server's
	// environment for its commands, so that they can be found.
	args := append([]string{bin, "-F", "-E", "-s", "-e"}, o.args...)
	for _, kind := range o.hostKeys {
		path := filepath.Join(s.dir, "host_"+string(kind))
		s.HostKeys = append(s.HostKeys, dropbearKey(t, kind, path))
		args = append(args, "-r", path)
	}
	passwd := filepath.Join(s.dir, "passwd")
	write(t, passwd, fmt.Appendf(nil, "%s:*:%d:%d::%s:/bin/sh\n", s.User, os.Getuid(), os.Getgid(), s.dir), 0o644)

	port, proc := startOnFreePort(t, s.dir, func(port uint16) launch {
		address := fmt.Sprintf("%s:%d", loopback, port)
		return launch{
			argv: withPasswd(t, passwd, append(args, "-p", address)),
			up:   "Not backgrounding",
			busy: fmt.Sprintf("Failed listening on '%d': Error listening: Address already in use", port),
		}
	})
	s.listensOn(t, port, proc)
	return s
}

// withPasswd wraps argv so that it sees the file as /etc/passwd.
func withPasswd(t testing.TB, passwd string, argv []string) []string {
	t.Helper()
	wrap := []string{binary(t, "/usr/bin/unshare"), "--mount"}
	if os.Geteuid() != 0 {
		// In a user namespace of its own the process keeps its uid and may
		// mount all the same.
		wrap = append(wrap, "--map-current-user", "--keep-caps")
	}
	wrap = append(wrap, "/bin/sh", "-c", `mount --bind "$0" /etc/passwd && exec "$@"`, passwd)
	return append(wrap, argv...)
}

// dropbearKey makes a host key in Dropbear's own format.
func dropbearKey(t testing.TB, kind KeyType, path string) ssh.PublicKey {
	t.Helper()
	args := []string{"-t", string(kind), "-f", path}
	if kind == RSA {
		args = append(args, "-s", "2048")
	}
	bin := binary(t, "/usr/bin/dropbearkey")
	if out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput(); err != nil {
		t.Fatalf("making Dropbear's %s host key: %v\n%s", kind, err, out)
	}
	out, err := exec.CommandContext(t.Context(), bin, "-y", "-f", path).Output()
	if err != nil {
		t.Fatalf("reading Dropbear's %s host key: %v", kind, err)
	}
	// A line of words comes first, then the key, then its fingerprint.
	key, _, _, _, err := ssh.ParseAuthorizedKey(out)
	if err != nil {
		t.Fatalf("parsing what dropbearkey -y says: %v\n%s", err, out)
	}
	return key
}
