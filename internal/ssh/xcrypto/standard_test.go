package xcrypto_test

import (
	"testing"

	"go.uber.org/goleak"

	"shoal/internal/ssh"
	"shoal/internal/ssh/sshtest"
	"shoal/internal/ssh/xcrypto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	sshtest.Run(t, func(t testing.TB, c sshtest.Config) ssh.Dialer {
		d, err := xcrypto.New(xcrypto.Options{
			HostKeys: c.HostKeys, Identities: c.Identities, Passwords: c.Passwords, Agents: c.Agents, Timeouts: c.Timeouts,
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := xcrypto.New(xcrypto.Options{}); err == nil {
		t.Error("options without a host-key policy were taken")
	}
}
