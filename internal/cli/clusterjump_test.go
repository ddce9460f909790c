package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/cluster/hub"
	"shoal/internal/sshdtest"
)

// A worker reaches a host through the jump host that its own ssh_config names; the run knows neither, and its journal
// has the host's end.
func TestWorkerBehindJumpHost(t *testing.T) {
	target := sshdtest.OpenSSH(t)
	jump := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(target.Signer.PublicKey()))
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("SSH_AUTH_SOCK", "")
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var keys [][]byte
	for _, path := range []string{target.KnownHosts, jump.KnownHosts} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, text)
	}
	known, signers := write("known", slices.Concat(keys...)), write("signers", append([]byte("ops "), xssh.MarshalAuthorizedKey(target.Signer.PublicKey())...))
	config := write("config", fmt.Appendf(nil, "Host behind\n  HostName %s\n  ProxyJump %s@%s:%d\n", target.Host.Name, jump.User, jump.Host.Name, jump.Host.Port))
	h, err := hub.Start(hub.Options{Listen: "127.0.0.1:0", Dir: filepath.Join(dir, "hub")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		var said strings.Builder
		cli.Main(ctx, []string{
			"worker", "--cluster", h.URL(), "--allow-signers", signers, "--name", "one", "-F", config, "--identity", target.KeyFile, "--no-agent",
			"--known-hosts", known, "--host-key", "strict", "--state-dir", filepath.Join(dir, "worker"),
		}, console.Stdio{In: strings.NewReader(""), Out: &said, Err: &said})
		t.Logf("the worker: %s", said.String())
	}()
	t.Cleanup(func() { stop(); <-over })
	var out, errs strings.Builder
	code := cli.Main(t.Context(), []string{
		"run", "--cluster", h.URL(), "--sign-key", target.KeyFile, "-F", "none", "--state-dir", filepath.Join(dir, "run"), "-l", target.User,
		"-w", fmt.Sprintf("behind:%d", target.Host.Port), "echo there",
	}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	if code != 0 || !strings.Contains(out.String(), "there") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	if through, at := strings.Count(jump.Log(), "Accepted publickey"), strings.Count(target.Log(), "Accepted publickey"); through != 1 || at != 1 {
		t.Errorf("%d logins at the jump host, and %d at the host", through, at)
	}
}
