package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/xcrypto"
	"shoal/internal/sshdtest"
)

// forbidden is a fallback that must not be used.
type forbidden struct{ t testing.TB }

func (f forbidden) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	f.t.Error("the fallback was dialled")
	return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonInternal, errors.New("not this way"))
}

// withStandard gives the rig a fallback.
func (r *rig) withStandard(t testing.TB) *rig {
	t.Helper()
	d, err := xcrypto.New(xcrypto.Options{
		HostKeys: r.HostKeys, Identities: r.Identities, Timeouts: r.Timeouts, Network: r,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Fallback = d
	return r
}

// A server has a method that golang.org/x/crypto/ssh has and package wire lacks.
func TestFallback(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t, sshdtest.WithKex("diffie-hellman-group14-sha256"))
	r := rigFor(s).withStandard(t)
	now := time.Now()
	var err error
	r.Memory, err = hostcache.Open(t.TempDir()+"/state", hostcache.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	const days = 24 * time.Hour
	for i, c := range []struct {
		seen  time.Duration // ago
		dials int
	}{
		{0, 2},        // not known
		{0, 1},        // known
		{8 * days, 2}, // asked again after a week
	} {
		if c.seen > 0 {
			now = time.Now().Add(-c.seen)
			r.Memory.Put(endpoint(r.target("").Target), hostcache.Entry{Client: clientFallback})
			now = time.Now()
		}
		runs := newCounter(t)
		e := r.run(t, runs.command())
		e.ok(t, "done\n")
		if e.Flags != fleet.FlagExitKnown|fleet.FlagFallback {
			t.Errorf("attempt %d: flags %v, want the fallback's", i, e.Flags)
		}
		if n := r.dialled(); n != c.dials || runs.runs(t) != 1 {
			t.Errorf("attempt %d: dialled %d times, ran %d times; want %d, 1", i, n, runs.runs(t), c.dials)
		}
		if client := r.remembered(t).Client; client != clientFallback {
			t.Errorf("attempt %d: client %q is remembered", i, client)
		}
		if i == 1 {
			r.Memory, err = hostcache.Open(t.TempDir()+"/state", hostcache.Options{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Without a fallback the same server fails after one connection; if the fallback
// shares no algorithm with the server either, it is not used (faults.md K07).
// faults.md: K07
func TestNothingInCommon(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kex      string
		fallback ssh.Dialer
	}{
		"no fallback":         {"diffie-hellman-group14-sha256", nil},
		"nothing for it":      {"diffie-hellman-group1-sha1", forbidden{t}},
		"nothing for anybody": {"sntrup761x25519-sha512@openssh.com", forbidden{t}},
	} {
		t.Run(name, func(t *testing.T) {
			r := rigFor(sshdtest.OpenSSH(t, sshdtest.WithKex(c.kex)))
			r.Fallback = c.fallback
			e := r.run(t, "true")
			e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonNoCommonAlgorithm, fleet.PhaseKex)
			if n := r.dialled(); n != 1 {
				t.Errorf("dialled %d times, want 1", n)
			}
		})
	}
}

// The fallback honours the settings.
func TestFallbackAndSettings(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t, sshdtest.WithKex("diffie-hellman-group14-sha256"), sshdtest.WithConfig("AcceptEnv X_*"))
	r := rigFor(s).withStandard(t)
	r.settings = &ssh.Settings{Env: []string{"X_A=b  c=d", "X_B=e"}, RekeyBytes: 1 << 16, UserKeys: []string{"ssh-ed25519"}}
	r.run(t, `echo "$X_A,$X_B"; head -c 300000 /dev/zero | wc -c`).ok(t, "b  c=d,e\n300000\n")

	r.settings = &ssh.Settings{UserKeys: []string{"ecdsa-sha2-nistp256"}}
	r.run(t, "true").want(t, fleet.OutcomeNeverStarted, fleet.ReasonNoIdentity, fleet.PhaseAuth)
}

// If a client has none of the configured algorithms, its offer is not widened to all of them. Where
// package wire has none, the fallback connects at once.
func TestSettingsAreNotWidened(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t, sshdtest.WithConfig("KexAlgorithms +diffie-hellman-group14-sha1"))
	for name, c := range map[string]struct {
		settings *ssh.Settings
		dials    int
		ok       bool
	}{
		"kex of the fallback":     {&ssh.Settings{Kex: []string{"diffie-hellman-group14-sha256"}}, 1, true},
		"legacy kex":              {&ssh.Settings{Kex: []string{"diffie-hellman-group14-sha1"}}, 1, true},
		"ciphers of the fallback": {&ssh.Settings{Ciphers: []string{"aes192-ctr"}}, 1, true},
		"kex":                     {&ssh.Settings{Kex: []string{"diffie-hellman-group18-sha512"}}, 0, false},
		"host keys":               {&ssh.Settings{HostKeys: []string{"ssh-rsa"}}, 1, false},
		"ciphers":                 {&ssh.Settings{Ciphers: []string{"aes256-cbc"}}, 0, false},
		"MACs":                    {&ssh.Settings{Ciphers: []string{"aes128-ctr"}, MACs: []string{"umac-128@openssh.com"}}, 1, false},
		"no MACs, none needed":    {&ssh.Settings{Ciphers: []string{"aes128-gcm@openssh.com"}, MACs: []string{}}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := rigFor(s).withStandard(t)
			r.settings = c.settings
			e := r.run(t, "echo ok")
			if c.ok {
				e.ok(t, "ok\n")
			} else {
				e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonNoCommonAlgorithm, fleet.PhaseKex)
			}
			if n := r.dialled(); n != c.dials {
				t.Errorf("dialled %d times, want %d", n, c.dials)
			}
		})
	}
}
