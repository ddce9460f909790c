package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// A server goes down and comes back. As long as it tells the same boot identifier it has not
// rebooted, and what is not well-formed is no identifier.
func TestWaitForARestartedServer(t *testing.T) {
	t.Parallel()
	const before, after = "0b8d0a9e-31c7-4b0e-a5d1-0123456789ab", "1b8d0a9e-31c7-4b0e-a5d1-0123456789ab"
	dir := t.TempDir()
	boot := filepath.Join(dir, "boot")
	s := sshdtest.OpenSSH(t, sshdtest.WithForceCommand("cat "+boot))
	tell := func(id string) {
		t.Helper()
		if err := os.WriteFile(boot+".new", []byte("shoal-boot-id "+id+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(boot+".new", boot); err != nil {
			t.Fatal(err)
		}
	}
	common := []string{"-F", "none", "--no-agent", "--state-dir", dir, "--known-hosts", s.KnownHosts, "--identity", s.KeyFile, "-w", s.Host.String()}
	wait := func(want int, text, reached string, operands ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		notes := &noticing{Buffer: &errs, text: text, seen: make(chan struct{})}
		ended := make(chan int, 1)
		go func() {
			ended <- cli.Main(t.Context(), append(append([]string{"wait"}, common...), operands...), console.Stdio{In: strings.NewReader(""), Out: &out, Err: notes})
		}()
		if text != "" {
			select {
			case <-notes.seen:
				s.Stop()
				tell(after)
				s.Start(t)
			case code := <-ended:
				ended <- code
			}
		}
		if code := <-ended; code != want || !strings.Contains(out.String(), reached) {
			t.Errorf("wait %q: exit code %d, want %d: %s%s", operands, code, want, &out, &errs)
		}
	}
	tell(before[1:])
	wait(console.ExitNotStarted, "", "boot_unknown", "--rebooted", "--for", "1m")
	tell(before)
	wait(console.ExitOK, "reboot them now", "rebooted and answers", "--rebooted", "--for", "5m")
	boots := filepath.Join(dir, "boots")
	wait(console.ExitOK, "", "answers", "--save", boots, "--for", "1m")
	tell(before)
	wait(console.ExitOK, "", "rebooted and answers", "--since", boots, "--for", "1m")
}

// A noticing closes seen once a text was written.
type noticing struct {
	*bytes.Buffer
	text string
	seen chan struct{}
	once sync.Once
}

func (n *noticing) Write(p []byte) (int, error) {
	m, err := n.Buffer.Write(p)
	if n.text != "" && strings.Contains(n.String(), n.text) {
		n.once.Do(func() { close(n.seen) })
	}
	return m, err
}
