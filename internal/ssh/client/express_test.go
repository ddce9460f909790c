package client

import (
	"testing"

	"go.uber.org/goleak"

	"shoal/internal/ssh"
	"shoal/internal/ssh/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newDialer makes the Dialer that the suite tests.
func newDialer(park Park) sshtest.Factory {
	return func(t testing.TB, c sshtest.Config) ssh.Dialer {
		d, err := New(Options{
			HostKeys: c.HostKeys, Identities: c.Identities, Passwords: c.Passwords, Agents: c.Agents, Timeouts: c.Timeouts, Park: park,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
}

func TestConformance(t *testing.T) { sshtest.Run(t, newDialer(ParkBest)) }

func TestConformanceOnGoroutines(t *testing.T) { sshtest.Run(t, newDialer(ParkGoroutine)) }
