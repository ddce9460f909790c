package sshtest

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// testDial covers failures before the server sends anything.
// faults.md: T02 T03
func testDial(t *testing.T, newDialer Factory) {
	dialer := func(t testing.TB, timeouts ssh.Timeouts) ssh.Dialer {
		return newDialer(t, Config{HostKeys: &exact{}, Identities: keys{newKey(t)}, Timeouts: timeouts})
	}
	at := func(addr netip.AddrPort) fleet.Target { return nameless(addr.Addr().String(), addr.Port()) }
	never := fleet.OutcomeNeverStarted

	t.Run("black hole", func(t *testing.T) {
		addr, free, err := simfleet.Blackhole()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = free() }()
		timeouts := patient()
		timeouts.Dial = short
		r := run(t.Context(), t, dialer(t, timeouts), at(addr))
		r.want(t, never, fleet.ReasonDialTimeout, fleet.PhaseDial, 0)
		if errors.Is(r.Err, ssh.ErrConnectTimeout) {
			t.Errorf("%v, though there was no connect timeout", r.Err)
		}
		timeouts.Connect, timeouts.Dial = short, patient().Dial
		r = run(t.Context(), t, dialer(t, timeouts), at(addr))
		r.want(t, never, fleet.ReasonDialTimeout, fleet.PhaseDial, 0)
		if !errors.Is(r.Err, ssh.ErrConnectTimeout) {
			t.Errorf("%v, and not by the connect timeout", r.Err)
		}
	})
	t.Run("connect timeout", func(t *testing.T) {
		f := startFleet(t, simfleet.Options{Hosts: 1, Fault: func(int) simfleet.Fault { return simfleet.FaultAuthStall }})
		timeouts := patient()
		timeouts.Connect = 2 * short // must suffice for the key exchange
		s := simulated(f, 0)
		r := run(t.Context(), t, s.dialer(t, newDialer, timeouts), s.target("true"))
		r.want(t, never, fleet.ReasonAuthTimeout, fleet.PhaseAuth, 0)
		if !errors.Is(r.Err, ssh.ErrConnectTimeout) || !strings.Contains(r.Err.Error(), timeouts.Connect.String()) {
			t.Errorf("cause %q does not name the connect timeout", r.Err)
		}
	})
	t.Run("connect timeout of an attempt", func(t *testing.T) {
		// It is one for all connections: an earlier one has used it up.
		f := startFleet(t, simfleet.Options{Hosts: 1})
		timeouts := patient()
		timeouts.Connect = time.Minute
		s := simulated(f, 0)
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target("true")}}
		a.ConnectBy(time.Now().Add(-time.Hour), timeouts.Connect)
		c, err := s.dialer(t, newDialer, timeouts).Dial(t.Context(), a)
		if err == nil {
			_ = c.Close()
		}
		fe, ok := errors.AsType[*fleet.Error](err)
		if !ok || fe.Outcome != never || fe.Reason != fleet.ReasonDialTimeout || !errors.Is(err, ssh.ErrConnectTimeout) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		addr, free, err := simfleet.RefusedPort()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = free() }()
		r := run(t.Context(), t, dialer(t, patient()), at(addr))
		r.want(t, never, fleet.ReasonConnRefused, fleet.PhaseDial, 0)
	})
	t.Run("no such name", func(t *testing.T) {
		// The resolver refuses an empty label itself: no query is sent.
		r := run(t.Context(), t, dialer(t, patient()), nameless("no..such.name", 22))
		r.want(t, never, fleet.ReasonNameNotFound, fleet.PhaseResolve, 0)
	})
}

// nameless returns a target with only an address.
func nameless(name string, port uint16) fleet.Target {
	return fleet.Target{Host: fleet.Host{Name: name, Port: port}, User: "u", Port: port, Command: "true"}
}
