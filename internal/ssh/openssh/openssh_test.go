package openssh_test

import (
	"testing"

	"go.uber.org/goleak"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh"
	"shoal/internal/ssh/openssh"
	"shoal/internal/ssh/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	program := needs.Program(t, "ssh")
	const encrypted = "what ssh and the server say after the first key exchange is encrypted, and ssh's text decides nothing"
	const (
		asClosed      = "ssh ends the connection itself, which looks closed by the server"
		asFailedLogin = "ssh tells of no login that did not end otherwise"
	)
	sshtest.Traits{Flags: fleet.FlagOpenSSH, Lacks: map[string]string{
		"passwords":                               "ssh is given no password",
		"hung_agent/and_a_password":               "ssh is given no password",
		"servers/second_factor":                   encrypted,
		"next":                                    "a connection of a master is not kept: it passes on no answer that shows it is up",
		"agent/hostile/flood":                     "ssh has no such limit",
		"agent/hostile/not_granted":               "ssh takes the channels of a server that was asked, whatever that answered",
		"faults/open-flood":                       "ssh itself refuses the channels of servers, and ends",
		"faults/auth-banner":                      "ssh ends at a banner with NUL bytes",
		"faults/auth-close":                       asFailedLogin,
		"faults/early-success":                    asClosed,
		"faults/nasty-disconnect":                 asClosed,
		"faults/partial-auth":                     asFailedLogin,
		"faults/zero-point":                       asClosed,
		"faults/keepalive-flood":                  "ssh answers, and has no such limit",
		"faults/rekey-storm":                      "ssh exchanges the keys, and has no such limit",
		"faults/hostkey-at-rekey":                 encrypted + "; see TestAnotherKeyLater",
		"host_keys/keys_over_and_over":            "ssh exchanges the keys, and has no such limit",
		"host_keys/another_key_in_authentication": encrypted + "; see TestAnotherKeyLater",
		"host_keys/another_key_later/turncoat":    encrypted + "; see TestAnotherKeyLater",
	}}.Run(t, func(t testing.TB, c sshtest.Config) ssh.Dialer {
		d, err := openssh.New(openssh.Options{
			Program: program, HostKeys: c.HostKeys, Identities: c.Identities, Agents: c.Agents, Timeouts: c.Timeouts,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	})
}
