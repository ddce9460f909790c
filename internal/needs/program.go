// Package needs locates the external programs that a test needs. In CI a
// missing program fails the test; elsewhere the test is skipped with a hint
// that names the package to install.
package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// packages maps programs and Python modules, by the last element of the path,
// to the Debian packages that scripts/setup installs or that every Debian has.
var packages = map[string]string{
	"ssh":               "openssh-client",
	"ssh-add":           "openssh-client",
	"ssh-agent":         "openssh-client",
	"ssh-keygen":        "openssh-client",
	"sftp":              "openssh-client",
	"sshd":              "openssh-server",
	"dropbear":          "dropbear-bin",
	"dropbearkey":       "dropbear-bin",
	"dropbearconvert":   "dropbear-bin",
	"dbclient":          "dropbear-bin",
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
	"krb5kdc":           "krb5-kdc",
	"kdb5_util":         "krb5-kdc",
	"kadmin.local":      "krb5-admin-server",
	"kinit":             "krb5-user",
	"clush":             "clustershell",
	"patch":             "patch",
	"setpriv":           "util-linux",
	"unshare":           "util-linux",
	"ssh-keysign":       "openssh-client",
	"sftp-server":       "openssh-sftp-server",
	"sudo":              "sudo",
	"doas":              "opendoas",
	"su":                "util-linux",
	"chromium":          "chromium",
	"groff":             "groff-base",
	"git":               "git",
	"dpkg":              "dpkg",
	"chroot":            "coreutils",
	"mmdebstrap":        "mmdebstrap",
	"rpm":               "rpm",
	"systemd-analyze":   "systemd",
	"systemd-nspawn":    "systemd-container",
}

// Program returns the path of a program: path itself, or the result of
// searching PATH if it is only a name. If it is not installed, the test fails
// if the environment has CI, and is skipped otherwise.
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
