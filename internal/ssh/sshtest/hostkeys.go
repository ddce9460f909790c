package sshtest

import (
	"context"
	"errors"
	"net"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// offering offers one host-key algorithm only.
type offering struct {
	*exact
	algorithm string
}

func (o offering) Algorithms(ssh.Target) []string { return []string{o.algorithm} }

// failing fails to reach a verdict, or to learn a key.
type failing struct {
	*exact
	check, accepted error
}

func (f failing) Check(t ssh.Target, remote net.Addr, key xssh.PublicKey) error {
	if f.check != nil {
		return f.check
	}
	return f.exact.Check(t, remote, key)
}

func (f failing) Accepted(ctx context.Context, t ssh.Target, key xssh.PublicKey) error {
	_ = f.exact.Accepted(ctx, t, key)
	return f.accepted
}

// testHostKeys asserts that no connection continues without a verdict.
func testHostKeys(t *testing.T, newDialer Factory) {
	never := fleet.OutcomeNeverStarted
	for _, s := range everyKind(t) {
		t.Run(s.name+"/wrong key", func(t *testing.T) {
			hk := &exact{trusted: []xssh.PublicKey{newKey(t).PublicKey()}}
			offered := &counting{keys: keys{s.signer}}
			d := newDialer(t, Config{HostKeys: hk, Identities: offered, Timeouts: patient()})
			run(t.Context(), t, d, s.target("true")).want(t, never, fleet.ReasonHostkeyChanged, fleet.PhaseHostkey, 0)
			if hk.checked != 1 || hk.accepted != 0 || offered.asked != 0 {
				t.Errorf("checked %d, accepted %d, keys asked for %d times; want 1, 0, 0", hk.checked, hk.accepted, offered.asked)
			}
		})
		t.Run(s.name+"/right key", func(t *testing.T) {
			hk := &exact{trusted: []xssh.PublicKey{s.hostKey}}
			d := newDialer(t, Config{HostKeys: hk, Identities: keys{s.signer}, Timeouts: patient()})
			run(t.Context(), t, d, s.target("true")).ok(t)
			if hk.checked != 1 || hk.accepted != 1 {
				t.Errorf("checked %d, accepted %d; want 1, 1", hk.checked, hk.accepted)
			}
		})
		t.Run(s.name+"/not let in is not accepted", func(t *testing.T) {
			hk := &exact{trusted: []xssh.PublicKey{s.hostKey}}
			d := newDialer(t, Config{HostKeys: hk, Identities: keys{newKey(t)}, Timeouts: patient()})
			run(t.Context(), t, d, s.target("true")).want(t, never, fleet.ReasonAuthFailed, fleet.PhaseAuth, 0)
			if hk.accepted != 0 {
				t.Errorf("accepted %d times, want never", hk.accepted)
			}
		})
		t.Run(s.name+"/no verdict", func(t *testing.T) {
			hk := failing{exact: &exact{}, check: errors.New("known_hosts is gone")}
			d := newDialer(t, Config{HostKeys: hk, Identities: keys{s.signer}, Timeouts: patient()})
			run(t.Context(), t, d, s.target("true")).want(t, never, fleet.ReasonHostkeyFailed, fleet.PhaseHostkey, 0)
		})
		t.Run(s.name+"/cannot learn", func(t *testing.T) {
			hk := failing{exact: &exact{trusted: []xssh.PublicKey{s.hostKey}}, accepted: errors.New("known_hosts is full")}
			d := newDialer(t, Config{HostKeys: hk, Identities: keys{s.signer}, Timeouts: patient()})
			run(t.Context(), t, d, s.target("true")).want(t, never, fleet.ReasonHostkeyFailed, fleet.PhaseHostkey, 0)
		})
		t.Run(s.name+"/algorithm not had", func(t *testing.T) {
			hk := offering{&exact{trusted: []xssh.PublicKey{s.hostKey}}, xssh.KeyAlgoECDSA521}
			d := newDialer(t, Config{HostKeys: hk, Identities: keys{s.signer}, Timeouts: patient()})
			run(t.Context(), t, d, s.target("true")).want(t, never, fleet.ReasonNoCommonAlgorithm, fleet.PhaseKex, 0)
		})
	}
	t.Run("short RSA key", func(t *testing.T) { testWeakKey(t, newDialer) })
	t.Run("another key in authentication", func(t *testing.T) { testKeyChangesInAuth(t, newDialer) })
	t.Run("another key later", func(t *testing.T) { testKeyChangesAtRekey(t, newDialer) })
	t.Run("keys over and over", func(t *testing.T) { testRekeyStorm(t, newDialer) })
}

// counting counts how often keys were requested.
type counting struct {
	keys
	asked int
}
