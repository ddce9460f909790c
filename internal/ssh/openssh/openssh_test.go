package openssh_test

import (
	"testing"

	"go.uber.org/goleak"

	"shoal/internal/needs"
	"shoal/internal/ssh"
	"shoal/internal/ssh/openssh"
	"shoal/internal/ssh/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	program := needs.Program(t, "ssh")
	sshtest.Run(t, func(t testing.TB, c sshtest.Config) ssh.Dialer {
		d, err := openssh.New(openssh.Options{
			Program: program, HostKeys: c.HostKeys, Identities: c.Identities, Timeouts: c.Timeouts,
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
