package sshdtest

import (
	"embed"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Server is a running SSH server.
type Server struct {
	// Host is the address: 127.0.0.1 and a port. Its User is the user to log in
	// as.
	Host fleet.Host
	// User is Host.User.
	User string
	// HostKey is the first of HostKeys.
	HostKey ssh.PublicKey
	// HostKeys has one key for each requested type, in that order.
	HostKeys []ssh.PublicKey
	// KnownHosts is a known_hosts file with all of HostKeys.
	KnownHosts string
	// KeyFile is the client's private key (OpenSSH format, Ed25519, mode 0600,
	// no passphrase); the public key is in the file with ".pub" appended.
	KeyFile string
	// Signer is the key of KeyFile.
	Signer ssh.Signer

	dir  string
	proc *process
}

// Log returns the server's standard error so far.
func (s *Server) Log() string { return s.proc.log.String() }

// PID returns the process id of the listening server.
func (s *Server) PID() int { return s.proc.cmd.Process.Pid }

// newServer creates the client's side: directory, user and key.
func newServer(t testing.TB, o options) *Server {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatalf("finding out who runs the test: %v", err)
	}
	s := &Server{User: me.Username, dir: t.TempDir()}
	s.KeyFile = filepath.Join(s.dir, "id_ed25519")
	s.Signer = generateKey(t, Ed25519, s.KeyFile)
	lines := ssh.MarshalAuthorizedKey(s.Signer.PublicKey())
	for _, key := range o.authorized {
		lines = append(lines, ssh.MarshalAuthorizedKey(key)...)
	}
	write(t, s.authorizedKeys(), lines, 0o600)
	return s
}

func (s *Server) bannerFile(t testing.TB, o options) string {
	t.Helper()
	path := filepath.Join(s.dir, "banner")
	write(t, path, []byte(o.banner), 0o600)
	return path
}

// authorizedKeys is its path below the home directory, for servers that accept
// no other.
func (s *Server) authorizedKeys() string { return filepath.Join(s.dir, ".ssh", "authorized_keys") }

// listensOn fills in what is known only when the server runs.
func (s *Server) listensOn(t testing.TB, port uint16, p *process) {
	t.Helper()
	s.proc = p
	s.Host = fleet.Host{Name: loopback, Port: port, User: s.User}
	s.HostKey = s.HostKeys[0]
	s.KnownHosts = filepath.Join(s.dir, "known_hosts")
	var lines []byte
	for _, key := range s.HostKeys {
		lines = fmt.Appendf(lines, "[%s]:%d %s", loopback, port, ssh.MarshalAuthorizedKey(key))
	}
	write(t, s.KnownHosts, lines, 0o600)
}

func write(t testing.TB, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

// programs make servers of other projects' SSH libraries.
//
//go:embed servers
var programs embed.FS

// unpack writes the programs into the test's directory and returns the path of
// one.
func (s *Server) unpack(t testing.TB, name string) string {
	t.Helper()
	const folder = "servers"
	entries, err := programs.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := programs.ReadFile(folder + "/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(s.dir, folder, entry.Name()), text, 0o600)
	}
	return filepath.Join(s.dir, folder, name)
}
