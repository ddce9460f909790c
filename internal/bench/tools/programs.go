package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

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
