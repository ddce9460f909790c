package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	"golang.org/x/crypto/ssh"
)

// bulkPart measures a large output from one host.
func (c *comparison) bulkPart(ctx context.Context) error {
	for _, cipher := range []string{ssh.CipherAES128GCM, ssh.CipherChaCha20Poly1305} {
		s, err := c.startSSHD(ctx, "OpenSSH", cipher)
		if err != nil {
			return err
		}
		if err := errors.Join(c.bulkTable(ctx, s, cipher), s.end()); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) bulkTable(ctx context.Context, s *server, cipher string) error {
	size := int64(c.settings.gibibytes) << 30
	all := []turn{{clientSSH, func(ctx context.Context) (figures, error) { return c.sshTurn(ctx, s, size) }}}
	clients := []string{clientExpress, clientGoroutines, clientStandard}
	if cipher == ssh.CipherChaCha20Poly1305 { // without strict key exchange the standard client has it no more
		clients = clients[:2]
	}
	for _, client := range clients {
		all = append(all, turn{client, func(ctx context.Context) (figures, error) {
			return served(s, size, func() (taken, error) {
				return c.child(ctx, job{
					Task: taskConnect, Client: client, Kex: kexClassical,
					Hosts: s.hosts, User: s.user, Key: s.key, KnownHosts: s.knownHosts,
					Command: bulkCommand(size), Bytes: size, Connections: 1, AtOnce: 1, Cold: true,
				})
			})
		}})
	}
	got, err := c.turns(ctx, "bulk, "+cipher, all)
	if err != nil {
		return err
	}
	c.section(fmt.Sprintf("Output of one host: %d GiB from OpenSSH, %s", c.settings.gibibytes, cipher), "bulk",
		"client", "MB/s", "× ssh", "client CPU (s/GiB)", "× ssh", "server CPU (s/GiB)", "server busy")
	for _, t := range all {
		c.row(t.name, fmt.Sprintf("%.0f", got.median(t.name, "rate")), got.ratio(t.name, clientSSH, "rate"),
			fmt.Sprintf("%.2f", got.median(t.name, "cpu")), got.ratio(t.name, clientSSH, "cpu"),
			fmt.Sprintf("%.2f", got.median(t.name, "server")), fmt.Sprintf("%.0f%%", 100*got.median(t.name, "busy")))
	}
	return nil
}

func bulkCommand(size int64) string { return fmt.Sprintf("head -c %d /dev/zero", size) }

// served adds the server's CPU time to the figures of do.
func served(s *server, size int64, do func() (taken, error)) (figures, error) {
	before, err := familyTime(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	t, err := do()
	if err != nil {
		return nil, err
	}
	after, err := s.reaped(before)
	if err != nil {
		return nil, err
	}
	gib := float64(size) / (1 << 30)
	return figures{
		"rate":   float64(size) / 1e6 / t.Wall.Seconds(),
		"cpu":    t.cpu().Seconds() / gib,
		"server": (after - before).Seconds() / gib,
		"busy":   (after - before).Seconds() / t.Wall.Seconds(),
	}, nil
}

// reaped waits until sshd has reaped the connection's processes, because only
// then their CPU time is included in its own, and returns that time.
func (s *server) reaped(before time.Duration) (time.Duration, error) {
	for last := before; ; {
		time.Sleep(100 * time.Millisecond)
		now, err := familyTime(s.cmd.Process.Pid)
		if err != nil || now > before && now == last {
			return now, err
		}
		last = now
	}
}

// sshTurn runs the ssh program with the same server, key and cipher.
func (c *comparison) sshTurn(ctx context.Context, s *server, size int64) (figures, error) {
	host, port, err := net.SplitHostPort(s.hosts[0])
	if err != nil {
		return nil, fmt.Errorf("reading a host: %w", err)
	}
	return served(s, size, func() (t taken, err error) {
		ctx, cancel := context.WithTimeout(ctx, childLimit)
		defer cancel()
		cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-n", "-T", "-i", s.key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
			"-o", "UserKnownHostsFile="+s.knownHosts, "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes",
			"-l", s.user, "-p", port, host, bulkCommand(size))
		var got count
		cmd.Stdout = &got
		begun := time.Now()
		if err := c.clients.start(cmd.Start); err != nil {
			return t, fmt.Errorf("starting ssh: %w", err)
		}
		if err := cmd.Wait(); err != nil {
			return t, fmt.Errorf("running ssh: %w", err)
		}
		t.Wall, t.User, t.System = time.Since(begun), cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime()
		return t, job{Bytes: size}.checkOutput(int64(got), 0)
	})
}
