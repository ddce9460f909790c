package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/sshdtest"
)

// noTrace fails if a file below dir has the text.
func noTrace(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("a secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The value of a secret variable reaches the command, as another user too, and nothing else: no
// command line there, no file and no output here.
func TestEnvSecret(t *testing.T) {
	const secret, ours = "Canary-4714", "Canary-4715\nsecond line"
	t.Setenv("SHOAL_TEST_SECRET", ours)
	f, host := becomeSide(t, sshdtest.Users{Sudoers: "worker ALL=(ALL:ALL) ALL\n"})
	common := []string{"-w", host, "-N", "-v", "--env-secret", "TOKEN@" + secretFile(t, secret), "--env-secret", "SHOAL_TEST_SECRET"}
	const command = `echo "${#TOKEN} ${#SHOAL_TEST_SECRET}"; ps axww -o args= | grep -c "Canary[-]471"; cat`
	for name, args := range map[string][]string{
		"alone": nil, "as another": {"--once", "--become", "--become-user", "other", "--become-password-file", secretFile(t, sshdtest.WorkerPassword)},
	} {
		for _, input := range []string{"input\x00", ""} {
			args := append(append([]string{"run"}, common...), args...)
			if input != "" {
				path := filepath.Join(t.TempDir(), "input")
				if err := os.WriteFile(path, []byte(input), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--stdin-from", path)
			}
			code, stdout, stderr := f.shoal(t, append(args, command)...)
			expect(t, name, 0, code, stdout, stderr)
			if want := "11 23\n0\n" + input; stdout != want {
				t.Errorf("%s: %q, want %q", name, stdout, want)
			}
			if strings.Contains(stdout+stderr, "Canary") {
				t.Errorf("%s: a value is in the output", name)
			}
			noTrace(t, f.state, "Canary-471")
		}
	}
	code, stdout, stderr := f.shoal(t, "rerun", "last", "all", "-N")
	expect(t, "a rerun", 0, code, stdout, stderr, "11 23\n0\n")
	script := filepath.Join(t.TempDir(), "s.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+command), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = f.shoal(t, append(append([]string{"script"}, common...), script)...)
	expect(t, "a script", 0, code, stdout, stderr, "11 23\n0\n")
	code, stdout, stderr = f.shoal(t, append(append([]string{"run"}, common...), "--host-key", "insecure", "touch "+f.dir+"/ran")...)
	expect(t, "a host that is not known", 3, code, stdout, stderr, "secret_withheld")
	code, stdout, stderr = f.shoal(t, "run", "-w", host, "--env-secret", "TOKEN="+secret, "true")
	if expect(t, "a value", 2, code, stdout, stderr, "NAME@FILE"); strings.Contains(stdout+stderr, secret) {
		t.Error("the value is repeated")
	}
	code, stdout, stderr = f.shoal(t, append(append([]string{"run"}, common...), "--detach", "true")...)
	expect(t, "a detached command", 2, code, stdout, stderr, "--env-secret cannot go with --detach")
	if _, err := os.Stat(f.dir + "/ran"); err == nil {
		t.Error("it ran without its secrets")
	}
	if strings.Contains(f.server.Log(), "Canary") {
		t.Error("a value is in the server's log")
	}
}
