//go:build linux

// Package packaging_test builds what a release has, twice and in different places, and plays somebody who installs, uses
// and removes it in a Debian of its own.
package packaging_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/internal/needs"
	"shoal/internal/sshdtest"
)

// run runs a program and returns what it printed; an exit status other than 0 fails the test.
func run(t *testing.T, dir string, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return string(out)
}

// dist clones the commit to a directory and builds a release for this machine there.
func dist(t *testing.T, dir string) (out string) {
	t.Helper()
	tree := filepath.Join(dir, "tree")
	run(t, "..", "git", "clone", "-q", ".", tree)
	run(t, tree, "git", "checkout", "-q", strings.TrimSpace(run(t, "..", "git", "rev-parse", "HEAD")))
	out = filepath.Join(dir, "out")
	run(t, tree, "packaging/dist", out, "linux/"+runtime.GOARCH)
	return out
}

// TestPackages needs root, because it installs in a root of its own.
func TestPackages(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has to run this as root")
		}
		t.Skip("it installs a package in a root of its own, which needs root")
	}
	for _, program := range []string{"mmdebstrap", "rpm", "dpkg", "chroot", "git"} {
		needs.Program(t, program)
	}
	out := dist(t, t.TempDir())
	t.Run("reproducible", func(t *testing.T) {
		again := dist(t, filepath.Join(t.TempDir(), "another place"))
		sums := func(dir string) string { return read(t, filepath.Join(dir, "SHA256SUMS")) }
		if sums(out) != sums(again) || strings.Count(sums(out), "\n") != 4 {
			t.Errorf("built twice:\n%s\n%s", sums(out), sums(again))
		}
	})
	t.Run("rpm", func(t *testing.T) { installRPM(t, only(t, out, "*.rpm")) })
	t.Run("deb", func(t *testing.T) { installDeb(t, only(t, out, "*.deb")) })
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	return paths[0]
}

// installed are files that both packages have.
var installed = []string{
	"usr/bin/shoal", "usr/bin/shoal-hub", "usr/share/man/man1/shoal-run.1.gz", "usr/share/man/man1/shoal-hub.1.gz",
	"usr/share/bash-completion/completions/shoal", "usr/share/fish/vendor_completions.d/shoal.fish",
	"usr/lib/systemd/system/shoal-worker.service", "usr/lib/systemd/system/shoal-watch@.service", "usr/lib/systemd/system/shoal-hub.service",
	"usr/lib/systemd/user/shoal-web.service", "etc/shoal/worker.env", "usr/share/doc/shoal/THIRD-PARTY-LICENCES", "usr/share/doc/shoal/docs/tutorial.md",
}

func checkInstalled(t *testing.T, root string) {
	t.Helper()
	for _, path := range installed {
		if info, err := os.Stat(filepath.Join(root, path)); err != nil || info.Size() == 0 || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func installRPM(t *testing.T, path string) {
	root := t.TempDir()
	run(t, root, "rpm", "--root", root, "--initdb")
	// Nothing of a system is in that root: no shell for the scripts either.
	run(t, root, "rpm", "--root", root, "--nodeps", "--noscripts", "-i", path)
	checkInstalled(t, root)
	if _, err := os.Stat(filepath.Join(root, "usr/share/zsh/site-functions/_shoal")); err != nil {
		t.Error(err)
	}
	run(t, root, "rpm", "--root", root, "-V", "--nodeps", "--noscripts", "shoal")
	run(t, root, "rpm", "--root", root, "--nodeps", "--noscripts", "-e", "shoal")
	for path := range files(t, root) {
		if strings.Contains(path, "shoal") {
			t.Errorf("%s is left", path)
		}
	}
}

func installDeb(t *testing.T, path string) {
	root := filepath.Join(t.TempDir(), "root")
	run(t, ".", "mmdebstrap", "--quiet", "--variant=essential", "--include=openssh-client", codename(t), root)
	before := files(t, root)
	inside := filepath.Join(root, "shoal.deb")
	if err := os.WriteFile(inside, []byte(read(t, path)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "/", "chroot", root, "dpkg", "-i", "/shoal.deb")
	checkInstalled(t, root)
	run(t, "/", "chroot", root, "dpkg", "--verify", "shoal")
	t.Run("units", func(t *testing.T) { checkUnits(t, root) })
	t.Run("first use", func(t *testing.T) { firstUse(t, root) })
	run(t, "/", "chroot", root, "dpkg", "--purge", "shoal")
	if err := os.Remove(inside); err != nil {
		t.Fatal(err)
	}
	after := files(t, root)
	for path := range after {
		if _, was := before[path]; !was {
			t.Errorf("%s is left", path)
		}
	}
	for path := range before {
		if _, is := after[path]; !is {
			t.Errorf("%s is gone", path)
		}
	}
}

// codename is that of the Debian that we run on, whose packages apt has already.
func codename(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(read(t, "/etc/os-release")) {
		if name, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			return strings.TrimSpace(name)
		}
	}
	t.Fatal("/etc/os-release has no VERSION_CODENAME")
	return ""
}

// files has the paths below a root, but for those of package managers' logs and backups, and of the person's home.
func files(t *testing.T, root string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		path = strings.TrimPrefix(path, root)
		if slices.ContainsFunc([]string{"/var/lib/dpkg/", "/var/log", "/proc", "/dev", home, "/tmp", "/run"}, func(p string) bool { return strings.HasPrefix(path, p) }) {
			return nil
		}
		all[path] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkUnits has systemd read the units, and rate them: 10 is open to all.
func checkUnits(t *testing.T, root string) {
	needs.Program(t, "systemd-analyze")
	for unit, threshold := range map[string]string{"shoal-worker.service": "20", "shoal-watch@x.service": "20", "shoal-hub.service": "20"} {
		out := run(t, "/", "systemd-analyze", "--no-pager", "--offline=true", "--root="+root, "--threshold="+threshold, "security", unit)
		if !strings.Contains(out, "OK") {
			t.Errorf("%s: %s", unit, out)
		}
	}
	out := run(t, "/", "systemd-analyze", "--man=no", "--recursive-errors=no", "--root="+root, "verify",
		filepath.Join(root, "usr/lib/systemd/system/shoal-worker.service"), filepath.Join(root, "usr/lib/systemd/system/shoal-hub.service"),
		filepath.Join(root, "usr/lib/systemd/system/shoal-watch@.service"))
	if strings.Contains(out, "shoal") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
}

const (
	home = "/home/ada"
	uid  = 4711
)

// firstUse plays a person; -v prints what that person saw.
func firstUse(t *testing.T, root string) {
	server := sshdtest.OpenSSH(t)
	ssh := filepath.Join(root, home, ".ssh")
	if err := os.MkdirAll(ssh, 0o700); err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	for _, name := range []string{"alpha", "beta", "gamma"} {
		port := server.Host.Port
		if name == "gamma" {
			port = 1 // nothing listens there
		}
		fmt.Fprintf(&config, "Host %s\n  HostName %s\n  Port %d\n  User %s\n", name, server.Host.Name, port, server.User)
	}
	for path, text := range map[string]string{
		"config": config.String(), "id_ed25519": read(t, server.KeyFile), "../first-use": read(t, "first-use"),
	} {
		if err := os.WriteFile(filepath.Join(ssh, path), []byte(text), 0o700); err != nil { //nolint:gosec // a script
			t.Fatal(err)
		}
	}
	own(t, filepath.Join(root, home))
	cmd := exec.CommandContext(t.Context(), "/bin/sh", home+"/first-use")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir, cmd.WaitDelay = "/", 5*time.Second
	cmd.Env = []string{"HOME=" + home, "USER=ada", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "THERE=" + t.TempDir()}
	var saw bytes.Buffer
	cmd.Stdout, cmd.Stderr = &saw, &saw
	err := cmd.Run()
	t.Log(saw.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"speed-up: ", "hint: to read more: shoal explain hostkey_unknown", "alpha: hello from alpha\nbeta: hello from beta\n2 ok in ",
		"hint: did you mean shoal run?", "1 ok, 1 failed (exit status 2: beta), 1 never started (conn_refused: gamma)", "next: shoal resume last, shoal rerun last failed",
		"report.html", "alpha,beta (2)\n---------------\nhello\n2 ok in ",
	} {
		if !strings.Contains(saw.String(), want) {
			t.Errorf("the person did not see %q", want)
		}
	}
}

// own gives what is below a directory to the person.
func own(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
}
