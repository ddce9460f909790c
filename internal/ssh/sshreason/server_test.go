package sshreason_test

import (
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A wrapper goes to no server that has no POSIX shell; a person's own command does.
func TestUnfit(t *testing.T) {
	for _, c := range []struct {
		identification, command, line string
		subsystem                     bool
		want                          fleet.Reason
	}{
		{"SSH-2.0-OpenSSH_for_Windows_9.5", "dir", "", false, ""},
		{"SSH-2.0-OpenSSH_for_Windows_9.5", "dir", "exec sh", false, fleet.ReasonWrapRefused},
		{"SSH-2.0-OpenSSH_for_Windows_9.5", "", "sftp", true, ""},
		{"SSH-1.99-Cisco-1.25", "show clock", "exec sh", false, fleet.ReasonWrapRefused},
		{"SSH-2.0-ROSSSH", ":put 1", "", false, ""},
		{"SSH-2.0-OpenSSH_9.2p1", "ls", "exec sh", false, ""},
		{"SSH-2.0-dropbear_2022.83", strings.Repeat("x", 9001), "", false, fleet.ReasonBadTarget},
		{"SSH-2.0-dropbear_2022.83", strings.Repeat("x", 9000), "", false, ""},
		{"SSH-2.0-OpenSSH_9.2p1", strings.Repeat("x", 9001), "", false, ""},
	} {
		a := &ssh.Attempt{Progress: new(ssh.Progress), Line: c.line, Subsystem: c.subsystem, Target: ssh.Target{Target: fleet.Target{Command: c.command}}}
		f := sshreason.Unfit(a, c.identification)
		switch {
		case f == nil && c.want == "":
		case f == nil || f.Reason != c.want || f.Outcome != fleet.OutcomeNeverStarted || hint.Of(f) == "":
			t.Errorf("%s, %.20q, %q: %v, want %s", c.identification, c.command, c.line, f, c.want)
		}
	}
}
