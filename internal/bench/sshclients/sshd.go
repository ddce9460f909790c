package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// privsepDir is compiled into Debian's sshd; it must exist when sshd starts as
// root.
const privsepDir = "/run/sshd"

// A server is what the clients connect to.
type server struct {
	name       string
	hosts      []string // host:port
	user       string
	key        string // path
	knownHosts string // path
	config     string // path of sshd's configuration
	cmd        *exec.Cmd
}

// startSSHD starts OpenSSH on 127.0.0.1 without connection limits, for logins
// of this process's user. cipher "" means the default.
func (c *comparison) startSSHD(ctx context.Context, name, cipher string) (*server, error) {
	dir, err := os.MkdirTemp(c.dir, "sshd-")
	if err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	s := &server{
		name: name, key: filepath.Join(dir, "id"),
		knownHosts: filepath.Join(dir, "known_hosts"), config: filepath.Join(dir, "sshd_config"),
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	s.user = me.Username
	port, err := freePort(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	if err := s.writeFiles(ctx, dir, port, cipher); err != nil {
		return nil, err
	}
	s.hosts = []string{net.JoinHostPort(loopback, strconv.Itoa(port))}
	// sshd re-executes itself for each connection, which requires an absolute
	// path.
	s.cmd = exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", s.config) // end ends it
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	defer func() { _ = log.Close() }() // sshd has its own descriptor
	s.cmd.Stderr = log
	ownGroup(s.cmd)
	if err := c.servers.start(s.cmd.Start); err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	if err := s.listens(ctx); err != nil {
		said, _ := os.ReadFile(log.Name()) // as much as there is
		return nil, errors.Join(fmt.Errorf("starting sshd: %w: %.300q", err, said), s.end())
	}
	return s, nil
}

const loopback = "127.0.0.1"

// freePort returns a port that is free at the moment.
func freePort(ctx context.Context) (int, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// writeFiles writes keys and configuration.
func (s *server) writeFiles(ctx context.Context, dir string, port int, cipher string) error {
	if err := os.MkdirAll(privsepDir, 0o755); err != nil {
		return fmt.Errorf("making directories: %w", err)
	}
	hostKey := filepath.Join(dir, "host")
	public := make([]string, 2)
	for i, path := range []string{hostKey, s.key} {
		said, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path).CombinedOutput()
		if err != nil {
			return fmt.Errorf("making a key: %w: %.200q", err, said)
		}
		text, err := os.ReadFile(path + ".pub")
		if err != nil {
			return fmt.Errorf("making a key: %w", err)
		}
		public[i] = strings.TrimSpace(string(text))
	}
	config := []string{
		fmt.Sprintf("ListenAddress %s:%d", loopback, port),
		"HostKey " + hostKey,
		"AuthorizedKeysFile " + filepath.Join(dir, "authorized_keys"),
		"MaxStartups 100000", "MaxSessions 100", "LoginGraceTime 120", "PerSourceMaxStartups none",
		"PermitRootLogin yes", "PidFile none", "LogLevel ERROR", "UsePAM no", "UseDNS no", "StrictModes no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PrintMotd no", "PrintLastLog no",
		"PermitUserRC no", "KexAlgorithms " + kexClassical,
		// Keeps the login shell from reading this user's rc files.
		"SetEnv HOME=" + dir,
	}
	if cipher != "" {
		config = append(config, "Ciphers "+cipher)
	}
	known := fmt.Sprintf("[%s]:%d %s\n", loopback, port, public[0])
	for path, text := range map[string]string{
		filepath.Join(dir, "authorized_keys"): public[1] + "\n",
		s.knownHosts:                          known,
		s.config:                              strings.Join(config, "\n") + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing sshd's files: %w", err)
		}
	}
	return nil
}

// startLimit is how long a server may take until it listens.
const startLimit = 20 * time.Second

func (s *server) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", s.hosts[0])
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// end kills sshd. Its connections have ended before.
func (s *server) end() error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
	return err
}
