package connect

import (
	"testing"

	"shoal/internal/ssh"
	"shoal/internal/ssh/hold"
)

// renewed counts the runs that begin.
type renewed struct {
	ssh.Passwords
	n int
}

func (r *renewed) Renew() { r.n++ }

// Each plan on held connections may send the password again to a host that has not answered.
func TestPasswordsAreRenewed(t *testing.T) {
	h, err := NewHold(hold.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	p := new(renewed)
	for range 2 {
		c, err := h.connect(t.Context(), Options{Passwords: p, Agent: "none", StateDir: t.TempDir(), KnownHosts: []string{}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.close()
	}
	if p.n != 2 {
		t.Errorf("renewed %d times for two plans", p.n)
	}
}
