package posix

import (
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImports asserts that the simulated host has no way to the real one.
func TestImports(t *testing.T) {
	for _, dir := range []string{".", "../memfs", "../shell"} {
		p, err := build.ImportDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.Imports {
			switch first, _, _ := strings.Cut(name, "/"); {
			case slices.Contains([]string{"io/fs", "path"}, name):
			case slices.Contains([]string{"os", "syscall", "net", "plugin", "unsafe", "runtime", "embed", "path", "golang.org", "C"}, first),
				strings.HasPrefix(name, "mvdan.cc/sh/") && name != "mvdan.cc/sh/v3/syntax":
				t.Errorf("%s imports %s", dir, name)
			}
		}
	}
}

// TestNothingIsReal tries to reach a file of the real system, and to make one,
// in every way that a shell has.
func TestNothingIsReal(t *testing.T) {
	dir := t.TempDir()
	canary := filepath.Join(dir, "canary")
	const secret = "of the real system"
	if err := os.WriteFile(canary, []byte("echo "+secret), 0o755); err != nil { //nolint:gosec // it must be found if anything is
		t.Fatal(err)
	}
	t.Setenv("SHOAL_CANARY", secret)
	for _, line := range []string{
		"cat CANARY", "cat <CANARY", "echo $(<CANARY)", "echo `cat CANARY`", ". CANARY", "sh CANARY", "CANARY", "exec CANARY", "exec <CANARY; cat",
		"read x <CANARY; echo $x", "echo x >>CANARY", ": >CANARY", "rm CANARY", "mv CANARY DIR/moved", "cp CANARY copy; cat copy", "ln CANARY l; cat l",
		"ln -s CANARY l; cat l", "cd DIR && cat canary", "cd /; cat .CANARY", "echo DIR/*", "echo /*/*/*/canar?", "ls DIR", "find / -name canary", "[ -e CANARY ] && echo " + secret,
		"command -v CANARY && echo " + secret, "type CANARY", "PATH=DIR canary", "PATH=DIR; command -v canary && echo " + secret, "tee DIR/new </dev/null", "touch DIR/new", "mkdir DIR/new",
		"cat <<E\n$(cat CANARY)\nE", "cat /proc/self/environ", "cat /proc/1/environ", "cat /proc/self/root/CANARY", "cat /proc/self/cwd/canary", "echo $SHOAL_CANARY", "env", "printenv SHOAL_CANARY",
		"grep . CANARY", "sed p CANARY", "head CANARY", "tail CANARY", "dd if=CANARY", "dd if=/dev/null of=DIR/new", "sha256sum CANARY", "sudo cat CANARY", "stat -c %n CANARY && echo " + secret,
		"readlink -f CANARY; cat $(readlink -f CANARY)", "trap 'cat CANARY' EXIT", "cat CANARY & wait", "cat CANARY | cat", "(cat CANARY)", "cat ~root/../..CANARY", "cat <(cat CANARY)", "cat /dev/fd/3 3<CANARY",
		"/bin/cat CANARY", "/usr/bin/env cat CANARY", "nohup cat CANARY", "setsid -w cat CANARY", "timeout 5 cat CANARY", "xargs cat CANARY", "bash -c 'cat CANARY'", "python3 -c 'print(open(\"CANARY\").read())'",
		"kill -9 -1", "kill -9 0", "kill -9 PID", "kill -TERM PPID", "exec 3<>DIR/new; echo x >&3", "umask 0; mktemp -p DIR", "truncate -s 0 CANARY", "chmod 0 CANARY", "chown 1 CANARY", "ulimit -f 0", "sync",
	} {
		line = strings.NewReplacer("CANARY", canary, "DIR", dir, "PPID", pidText(os.Getppid()), "PID", pidText(os.Getpid())).Replace(line)
		got := newHost(t).run(t, line, "")
		if strings.Contains(got.stdout, secret) || strings.Contains(strings.ReplaceAll(got.stderr, line, ""), secret) {
			t.Errorf("%s: got %q and %q", line, got.stdout, got.stderr)
		}
		if strings.Contains(got.stdout, pidText(os.Getpid())+" ") {
			t.Errorf("%s: the real process number is seen: %q", line, got.stdout)
		}
	}
	entries, err := os.ReadDir(dir)
	content, _ := os.ReadFile(canary)
	if info, _ := os.Stat(canary); err != nil || len(entries) != 1 || string(content) != "echo "+secret || info.Mode().Perm() != 0o755 {
		t.Errorf("the real directory has %v, and the canary %q", entries, content)
	}
	if got := newHost(t).run(t, "echo $$ $PPID; cat /etc/hostname; uname -n; pwd; id -un; ls /", ""); !strings.Contains(got.stdout, "127.1.0.1\n127.1.0.1\n/home/ada\nada\nbin\n") {
		t.Errorf("the host shows itself as %q", got.stdout)
	}
}

func pidText(pid int) string { return strconv.Itoa(pid) }
