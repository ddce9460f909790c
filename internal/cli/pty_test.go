package cli_test

import (
	"strings"
	"testing"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
)

// A command with --pty has a terminal of 80x24 and type dumb where our output is none, for each
// client; the end of the file comes to each program that reads it.
func TestPTY(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	for _, client := range []string{"best", "standard", "ssh"} {
		t.Run(client, func(t *testing.T) {
			var out, errs strings.Builder
			code := cli.Main(t.Context(), []string{
				"run", "--pty", "--client", client, "-F", "none", "--no-agent", "--no-journal", "--known-hosts", s.KnownHosts,
				"--identity", s.KeyFile, "-l", s.User, "-w", s.Host.String(), "-N",
				`case $(tty) in /dev/*) echo "a terminal" $TERM;; esac; stty size; echo err >&2; cat; cat; sh -c cat; echo end`,
			}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
			if want := "a terminal dumb\r\n24 80\r\nerr\r\nend\r\n"; code != 0 || out.String() != want {
				t.Errorf("exit code %d, %q, want %q; %s", code, out.String(), want, errs.String())
			}
		})
	}
}
