package standard_test

import (
	"testing"

	"go.uber.org/goleak"

	"shoal/connect"
	"shoal/connect/conntest"
	"shoal/connect/standard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	conntest.Run(t, func(t testing.TB, c conntest.Config) connect.Dialer {
		d, err := standard.New(standard.Options{
			HostKeys: c.HostKeys, Identities: c.Identities, Passwords: c.Passwords, Timeouts: c.Timeouts,
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := standard.New(standard.Options{}); err == nil {
		t.Error("options without a host-key policy were taken")
	}
}
