package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A job is a tool's task: where, as whom, with what. It is the same for all
// tools.
type job struct {
	hosts   []string
	port    uint16
	user    string
	command string
	// template is the command for tools that replace {{ inventory_hostname }}
	// themselves and use no shell.
	template string
	fanout   int

	hostsFile, knownHosts, key string
	sshConfig                  string // everything that an ssh process needs
	programs                   string // directory of the Python programs
	// file is what is copied to dest on each host; "" if the tools run the command. cipher is the only
	// one; "" leaves it to them.
	file, dest, cipher string
	shoal              string
}

// want is the one line that the command prints on host.
func want(host string) string { return "hello world " + host }

// curve25519 is the key exchange that every tool here supports.
const curve25519 = "curve25519-sha256"

// A plan is what differs between the jobs on one target.
type plan struct {
	hosts []string
	port  uint16
	// known returns the host's key for known_hosts: type and base64.
	known func(i int) string
}

// newJob writes the files of a job into dir.
func (t *target) newJob(dir string, p plan, kex string) (job, error) {
	j := job{
		hosts: p.hosts, port: p.port, user: account, key: t.key,
		file: t.file, cipher: t.cipher,
		command: t.command, template: "echo " + want("{{ inventory_hostname }}"),
		hostsFile:  filepath.Join(dir, "hosts"),
		knownHosts: filepath.Join(dir, "known_hosts"),
		sshConfig:  filepath.Join(dir, "ssh_config"),
	}
	var known strings.Builder
	for i, host := range p.hosts {
		fmt.Fprintf(&known, "[%s]:%d %s\n", host, p.port, p.known(i))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return j, fmt.Errorf("making a job's directory: %w", err)
	}
	for path, text := range map[string]string{
		j.hostsFile:  strings.Join(p.hosts, "\n") + "\n",
		j.knownHosts: known.String(),
		j.sshConfig:  j.config(kex),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return j, fmt.Errorf("writing a job's files: %w", err)
		}
	}
	return j, nil
}

// config returns an ssh_config(5) without any speed settings except the key
// exchange; "" means OpenSSH's default.
func (j job) config(kex string) string {
	lines := []string{
		"User " + j.user,
		fmt.Sprintf("Port %d", j.port),
		"IdentityFile " + j.key,
		"IdentitiesOnly yes",
		"IdentityAgent none",
		"UserKnownHostsFile " + j.knownHosts,
		"GlobalKnownHostsFile none",
		"StrictHostKeyChecking yes",
		"BatchMode yes",
	}
	if j.cipher != "" {
		lines = append(lines, "Ciphers "+j.cipher)
	}
	if kex != "" {
		lines = append(lines, "KexAlgorithms "+kex)
	}
	return strings.Join(lines, "\n") + "\n"
}
