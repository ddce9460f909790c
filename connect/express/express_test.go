package express

import (
	"testing"

	"go.uber.org/goleak"

	"shoal/connect"
	"shoal/connect/conntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newDialer makes the Dialer that the suite tests.
func newDialer(park Park) conntest.Factory {
	return func(t testing.TB, c conntest.Config) connect.Dialer {
		d, err := New(Options{
			HostKeys: c.HostKeys, Identities: c.Identities, Passwords: c.Passwords, Timeouts: c.Timeouts, Park: park,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
}

func TestConformance(t *testing.T) { conntest.Run(t, newDialer(ParkBest)) }

func TestConformanceOnGoroutines(t *testing.T) { conntest.Run(t, newDialer(ParkGoroutine)) }
