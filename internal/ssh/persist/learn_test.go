package persist

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
	"shoal/simfleet"
)

// The key of an unknown host is written down once it has let us in, and not before: anybody may have answered.
func TestLearnedAfterLogin(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	path := filepath.Join(t.TempDir(), "known_hosts")
	settings := &ssh.Settings{Known: ssh.HostKeySpec{Files: []string{path}, Policy: ssh.HostKeysAcceptNew}}
	for _, let := range []bool{false, true} {
		k := &keys{fleet: r.fleet, gone: !let}
		v := hostkeys.NewVerifier()
		d := r.dialer(t, Options{HostKeys: v, Identities: k})
		a, _ := r.attempt(0, "echo ran")
		a.Target.Endpoint = &ssh.Endpoint{User: a.Target.User, Port: a.Target.Port, Settings: settings}
		end := run(t.Context(), d, a)
		if (end.Outcome == fleet.OutcomeOK) != let {
			t.Errorf("%+v", end)
		}
		text, err := os.ReadFile(path)
		if learned := strings.Contains(string(text), "ssh-"); learned != let {
			t.Errorf("let in: %t; known_hosts: %q, %v", let, text, err)
		}
		_, _ = d.Close(), v.Close()
	}
}
