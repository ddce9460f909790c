package cli_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
)

// -v tells of a real server and of the jump host before it.
func TestVerboseThroughAJumpHost(t *testing.T) {
	target := sshdtest.OpenSSH(t)
	jump := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(target.Signer.PublicKey()))
	address := func(s *sshdtest.Server) string { return fmt.Sprintf("%s@%s:%d", s.User, s.Host.Name, s.Host.Port) }
	var out, errs strings.Builder
	code := cli.Main(t.Context(), []string{
		"run", "-v", "-F", "none", "--no-agent", "--known-hosts", target.KnownHosts, "--known-hosts", jump.KnownHosts,
		"--identity", target.KeyFile, "-J", address(jump), "-w", address(target), "--no-journal", "echo there",
	}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	expect(t, "run", 0, code, out.String(), errs.String(), ": there\n")
	host, bastion := regexp.QuoteMeta(address(target)), `\S+ -v: as a jump host: `
	for _, line := range []string{
		host + ` -v: ` + host + `, through ` + regexp.QuoteMeta(address(jump)),
		bastion + `connected to \S+:\d+`,
		bastion + `host key ssh-ed25519 SHA256:\S+: known, ".*", line 1`,
		bastion + `user ".*" is let in with ssh-ed25519 SHA256:\S+`,
		host + ` -v: connected through the jump host \S+`,
		host + ` -v: server "SSH-2\.0-OpenSSH_.*"`,
		host + ` -v: user ".*" is let in with ssh-ed25519 SHA256:\S+`,
		host + ` -v: attempt 1: ok, exit status 0; .* auth .*`,
	} {
		if found := regexp.MustCompile("(?m)^"+line+"$").FindAllString(errs.String(), -1); len(found) != 1 {
			t.Errorf("%d lines are like %s", len(found), line)
		}
	}
	if t.Failed() {
		t.Log(errs.String())
	}
}
