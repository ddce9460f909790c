package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
)

// A real server that is remembered is sent a run's command together with the login;
// shoal ping sends it none.
func TestPingExecutesNothing(t *testing.T) {
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	s := sshdtest.OpenSSH(t, sshdtest.WithForceCommand("echo ran >>"+ran))
	shoal := func(command string, operands ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		args := append([]string{
			command, "-F", "none", "--no-agent", "--state-dir", dir, "--known-hosts", s.KnownHosts, "--identity", s.KeyFile, "-w", s.Host.String(),
		}, operands...)
		if code := cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs}); code != console.ExitOK {
			t.Fatalf("%s: exit code %d: %s%s\nserver: %s", command, code, &out, &errs, s.Log())
		}
		return out.String()
	}
	for want := 1; want <= 3; want++ {
		if out := shoal("ping"); !strings.Contains(out, ": reached (ms: ") {
			t.Errorf("ping: %q", out)
		}
		shoal("run", "--no-journal", "true")
		text, err := os.ReadFile(ran)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(text), "ran\n"); got != want {
			t.Fatalf("after %d runs and pings, %d commands were executed", want, got)
		}
	}
}
