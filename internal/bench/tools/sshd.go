package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// privsepDir is compiled into Debian's sshd; it must exist.
const privsepDir = "/run/sshd"

// openGates is a MaxStartups that refuses nobody.
const openGates = "100000"

// sshd starts OpenSSH servers that differ only in MaxStartups.
type sshd struct {
	dir, home string
	root      *group
	hostKey   string // as in known_hosts
}

func (d *sshd) clientKey() string   { return filepath.Join(d.dir, "id_ed25519") }
func (d *sshd) hostKeyFile() string { return filepath.Join(d.dir, "host_ed25519") }

// makeKeys creates the server's and the client's key, and authorises the
// client.
func (d *sshd) makeKeys(ctx context.Context) error {
	var err error
	if d.hostKey, err = newKey(ctx, d.hostKeyFile()); err != nil {
		return err
	}
	client, err := newKey(ctx, d.clientKey())
	if err != nil {
		return err
	}
	// sshd reads it as the account.
	path := filepath.Join(d.home, "authorized_keys")
	if err := os.WriteFile(path, []byte(client+"\n"), 0o644); err != nil { // a public key
		return fmt.Errorf("letting the client in: %w", err)
	}
	return os.MkdirAll(privsepDir, 0o755)
}

// newKey creates a key and returns its public half: type and base64.
func newKey(ctx context.Context, path string) (string, error) {
	said, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("making a key: %w: %.200q", err, said)
	}
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		return "", fmt.Errorf("reading a public key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// start starts the server and completes t.
func (d *sshd) start(ctx context.Context, t target, startups string) (*target, error) {
	path := filepath.Join(d.dir, t.name+".conf")
	config := []string{
		fmt.Sprintf("ListenAddress 0.0.0.0:%d", t.port), // only our own network namespace
		"HostKey " + d.hostKeyFile(),
		"AuthorizedKeysFile " + filepath.Join(d.home, "authorized_keys"),
		"MaxStartups " + startups,
		"AllowUsers " + account,
		"PidFile none",
		"LogLevel ERROR",
		"UsePAM no",
		"UseDNS no",
		"StrictModes no",
		"PermitUserRC no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PrintMotd no",
		"PrintLastLog no",
	}
	// Since 9.8 sshd penalises sources with failed logins. All hosts see the
	// same source here, unlike in a real fleet.
	if t.places != "" {
		// Each host has a directory of its own, which tools name /proc/self/cwd.
		config = append(config, "Subsystem sftp /usr/lib/openssh/sftp-server",
			`ForceCommand set -- $SSH_CONNECTION; HOME=`+t.places+`/$3; export HOME; cd "$HOME" && exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"`)
	}
	err := d.write(ctx, path, append(config, "PerSourcePenalties no"))
	if err != nil {
		err = d.write(ctx, path, config) // an older sshd
	}
	if err != nil {
		return nil, err
	}
	t.runsPrograms, t.key = true, d.clientKey()
	t.known = func(int) string { return d.hostKey }
	t.command = `set -- $SSH_CONNECTION; echo ` + want("$3")
	// sshd re-executes itself for each connection, which requires an absolute
	// path.
	t.server, err = startServer(ctx, d.root, t.name, filepath.Join(d.dir, t.name+".log"), t.port,
		[]string{"/usr/sbin/sshd", "-D", "-e", "-f", path})
	return &t, err
}

// write writes a configuration and lets sshd check it.
func (d *sshd) write(ctx context.Context, path string, config []string) error {
	if err := os.WriteFile(path, []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing sshd's configuration: %w", err)
	}
	if said, err := exec.CommandContext(ctx, "/usr/sbin/sshd", "-t", "-f", path).CombinedOutput(); err != nil {
		return fmt.Errorf("checking sshd's configuration: %w: %.300q", err, said)
	}
	return nil
}
