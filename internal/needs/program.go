// Package needs finds the programs of others that a test talks to or compares
// with. In CI one that is missing fails the test; elsewhere it skips it, with the
// package to install.
package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// packages are the Debian packages of the programs and Python modules that
// scripts/setup installs, or finds on every Debian, by the last part of the path.
var packages = map[string]string{
	"ssh":               "openssh-client",
	"ssh-add":           "openssh-client",
	"ssh-agent":         "openssh-client",
	"ssh-keygen":        "openssh-client",
	"sshd":              "openssh-server",
	"dropbear":          "dropbear-bin",
	"dropbearkey":       "dropbear-bin",
	"tinysshd":          "tinysshd",
	"tinysshd-makekey":  "tinysshd",
	"tinysshd-printkey": "tinysshd",
	"escript":           "erlang-ssh",
	"python3":           "python3",
	"asyncssh":          "python3-asyncssh",
	"paramiko":          "python3-paramiko",
	"twisted":           "python3-twisted",
	"ClusterShell":      "python3-clustershell",
	"nodeset":           "clustershell",
	"ansible-inventory": "ansible-core",
	"bash":              "bash",
	"busybox":           "busybox",
	"csh":               "tcsh",
	"dash":              "dash",
	"fish":              "fish",
	"ksh93":             "ksh93u+m",
	"mksh":              "mksh",
	"sh":                "dash",
	"tcsh":              "tcsh",
	"zsh":               "zsh",
	"setpriv":           "util-linux",
	"unshare":           "util-linux",
}

// Program returns where the program is: path itself, or what PATH has where it is
// a mere name. Where it is not installed the test ends: it fails when the
// environment has CI, and is skipped otherwise.
func Program(t testing.TB, path string) string {
	t.Helper()
	debian, ok := packages[filepath.Base(path)]
	if !ok {
		t.Fatalf("%s: no package is known of it\nhint: add it to internal/needs and to scripts/setup", path)
	}
	var err error
	if filepath.IsAbs(path) {
		_, err = os.Stat(path)
	} else {
		path, err = exec.LookPath(path)
	}
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") != "":
		t.Fatalf("%v\nhint: install %s, or run scripts/setup, which installs all that tests need", err, debian)
	default:
		t.Skipf("%v\nhint: install %s, or run scripts/setup, which installs all that tests need", err, debian)
	}
	return ""
}
