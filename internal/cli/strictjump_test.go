package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
)

// --host-key strict refuses an unknown jump host, whatever ssh_config says, for every command
// that connects; its key is not written.
func TestStrictAtJumpHosts(t *testing.T) {
	target := sshdtest.OpenSSH(t)
	jump := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(target.Signer.PublicKey()))
	dir := t.TempDir()
	config, known := filepath.Join(dir, "config"), filepath.Join(dir, "known")
	if err := os.WriteFile(config, []byte("StrictHostKeyChecking accept-new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(target.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(known, before, 0o600); err != nil {
		t.Fatal(err)
	}
	address := func(s *sshdtest.Server) string { return fmt.Sprintf("%s@%s:%d", s.User, s.Host.Name, s.Host.Port) }
	logins := func() int { return strings.Count(jump.Log(), "Accepted publickey") }
	shoal := func(args ...string) (int, string) {
		var out, errs strings.Builder
		args = append(args[:len(args):len(args)], "-F", config, "--no-agent", "--known-hosts", known, "--state-dir", filepath.Join(dir, "state"),
			"--identity", target.KeyFile, "-J", address(jump), "-w", address(target))
		if args[0] == "run" {
			args = append(args, "true")
		}
		code := cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		return code, out.String() + errs.String()
	}
	for _, args := range [][]string{{"run", "--host-key", "strict"}, {"keys", "scan", "--host-key", "strict"}} {
		code, text := shoal(args...)
		after, err := os.ReadFile(known)
		if code == 0 || !strings.Contains(text, "hostkey_unknown") || logins() != 0 || err != nil || !bytes.Equal(before, after) {
			t.Errorf("%v: exit %d, %d logins, known_hosts changed %t (%v)\n%s", args, code, logins(), !bytes.Equal(before, after), err, text)
		}
	}
	if code, text := shoal("run"); code != 0 || logins() != 1 {
		t.Errorf("as ssh_config says: exit %d, %d logins\n%s", code, logins(), text)
	}
}
