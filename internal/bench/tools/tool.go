package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// A tool is one way to run a command on many hosts.
type tool struct {
	// name is the name in the tables; a kex follows in brackets.
	name string
	// kex is the only key exchange that the tool's ssh processes may use; ""
	// means their default. plain is then the name without the kex.
	kex, plain string
	// argv is the command line for a job.
	argv func(job) []string
	// env is added to the environment of all tools.
	env func(job) []string
	// answers parses each host's output lines from the tool's standard output.
	answers func(stdout []byte) answers
	// push is the command line that copies job.file to job.dest on every host; nil if the tool
	// does not. argv is nil for a tool that does nothing else.
	push func(job) []string
	// version is a command line that prints the version: the first word with a
	// digit.
	version []string
	// forks reports whether every host has its own ssh process.
	forks bool
	// needs is an interpreter required on the target; "" means none.
	needs string
}

// base is the tool that all others are compared with.
const base = "shoal"

// toolset returns all tools. Those that fork ssh occur twice: with ssh's
// default key exchange and with curve25519.
func toolset() []tool {
	var all []tool
	for _, t := range kinds() {
		all = append(all, t)
		if t.forks {
			t.name, t.kex, t.plain = t.name+" (curve25519)", curve25519, t.name
			all = append(all, t)
		}
	}
	return all
}

// kinds returns every tool once.
func kinds() []tool {
	echo := ours()
	echo.name, echo.push = echoes, nil
	return append([]tool{ours(), echo}, append(append(forking(), copying()...), programs()...)...)
}

func ours() tool {
	with := func(j job, command string, more ...string) []string {
		return append([]string{
			j.shoal, command, "--hostfile", j.hostsFile, "-l", j.user, "-p", itoa(j.port),
			"--known-hosts", j.knownHosts, "--identity", j.key, "--no-agent",
		}, more...)
	}
	return tool{
		name: base,
		argv: func(j job) []string { return with(j, "run", j.command) },
		push: func(j job) []string {
			if j.cipher != "" {
				return with(j, "push", "-o", "Ciphers="+j.cipher, j.file, j.dest)
			}
			return with(j, "push", j.file, j.dest)
		},
		answers: prefixed(": "),
		version: []string{"shoal", "--version"},
	}
}

//go:embed programs/*.py
var sources embed.FS

// python is Debian's interpreter, which has Debian's libraries.
const python = "/usr/bin/python3"

// programs returns the embedded Python programs: the reference's two with
// AsyncSSH, and threads with Paramiko.
func programs() []tool {
	program := func(name, file, library string) tool {
		return tool{
			name: name,
			argv: func(j job) []string {
				return []string{
					python, "-W", "ignore", filepath.Join(j.programs, file),
					"--hosts", j.hostsFile, "--known-hosts", j.knownHosts, "--key", j.key,
					"--user", j.user, "--port", itoa(j.port), "--threads", strconv.Itoa(j.fanout),
					"--command", j.command,
				}
			},
			answers: prefixed(": "),
			version: []string{python, "-W", "ignore", "-c", "import " + library + "; print(" + library + ".__version__)"},
		}
	}
	return []tool{
		program("AsyncSSH, one by one", "asyncssh_serial.py", "asyncssh"),
		program("AsyncSSH, gather", "asyncssh_gather.py", "asyncssh"),
		program("Paramiko, threads", "paramiko_pool.py", "paramiko"),
	}
}

// writePrograms writes the programs into dir.
func writePrograms(dir string) error {
	files, err := sources.ReadDir("programs")
	if err != nil {
		return fmt.Errorf("reading the programs: %w", err)
	}
	for _, file := range files {
		text, err := sources.ReadFile("programs/" + file.Name())
		if err != nil {
			return fmt.Errorf("reading the programs: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, file.Name()), text, 0o600); err != nil {
			return fmt.Errorf("writing the programs: %w", err)
		}
	}
	return nil
}
