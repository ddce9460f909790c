package cli_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/needs"
	"shoal/internal/sshdtest"
)

// An ssh on the host logs in with the forwarded agent, whose signatures the summary and the
// results count.
func TestForwardAgent(t *testing.T) {
	ssh2 := needs.Program(t, "ssh")
	s := sshdtest.OpenSSH(t)
	pem, err := os.ReadFile(s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: key, Comment: "mine"}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = agent.ServeAgent(keyring, c)
				_ = c.Close()
			}()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	hop := strings.Join([]string{
		ssh2, "-F none", "-p", strconv.Itoa(int(s.Host.Port)), "-o UserKnownHostsFile=" + s.KnownHosts, "-o BatchMode=yes", "-o IdentityFile=none", s.User + "@127.0.0.1", "echo hopped",
	}, " ")
	for _, how := range [][]string{{"--forward-agent"}, {"-o", "ForwardAgent=yes", "--json"}} {
		var out, errs strings.Builder
		args := append([]string{
			"run", "-F", "none", "--no-journal", "--known-hosts", s.KnownHosts, "-l", s.User, "-w", s.Host.String(),
		}, how...)
		code := cli.Main(t.Context(), append(args, hop), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code != 0 || !strings.Contains(out.String(), "hopped") {
			t.Fatalf("%v: exit code %d, %q; %s", how, code, out.String(), errs.String())
		}
		told, want := errs.String(), "; 1 signature of the agent for 1"
		if len(how) == 3 {
			told, want = out.String(), `"agent_signatures":1`
		}
		if !strings.Contains(told, want) {
			t.Errorf("%v: %q does not say %q", how, told, want)
		}
	}
}
