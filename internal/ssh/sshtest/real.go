package sshtest

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/sshdtest"
)

// testServers covers real servers that are configured to refuse.
func testServers(t *testing.T, newDialer Factory) {
	never := fleet.OutcomeNeverStarted
	t.Run("throttled", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxStartups 1:100:1")))
		held, err := net.Dial("tcp", s.target("").Address())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = held.Close() }()
		greeting := [4]byte{}
		if _, err := held.Read(greeting[:]); err != nil || string(greeting[:]) != "SSH-" {
			t.Fatalf("the connection that is held got %q, %v", greeting, err)
		}
		r := run(t.Context(), t, s.dialer(t, newDialer, patient()), s.target("true"))
		r.want(t, never, fleet.ReasonThrottled, fleet.PhaseBanner, 0)
	})
	t.Run("too many keys", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxAuthTries 2")))
		d := newDialer(t, Config{
			HostKeys:   &exact{trusted: []ssh.PublicKey{s.hostKey}},
			Identities: keys{newKey(t), newKey(t), newKey(t), s.signer},
			Timeouts:   patient(),
		})
		r := run(t.Context(), t, d, s.target("true"))
		for range 4 { // a reset may drop what the server said, before the ssh program has read it
			if strings.Contains(r.Err.Error(), "Too many") {
				break
			}
			r = run(t.Context(), t, d, s.target("true"))
		}
		r.want(t, never, fleet.ReasonAuthFailed, fleet.PhaseAuth, 0)
		if !strings.Contains(r.Err.Error(), "Too many authentication failures") {
			t.Errorf("cause %q does not say what the server said", r.Err)
		}
		if !strings.Contains(r.Err.Error(), "--max-keys") {
			t.Errorf("cause %q does not say what helps", r.Err)
		}
	})
	t.Run("fifth key", func(t *testing.T) { // as many as are offered by default
		s := realOne("openssh", sshdtest.OpenSSH(t))
		d := newDialer(t, Config{
			HostKeys:   &exact{trusted: []ssh.PublicKey{s.hostKey}},
			Identities: keys{newKey(t), newKey(t), newKey(t), newKey(t), s.signer},
			Timeouts:   patient(),
		})
		run(t.Context(), t, d, s.target("true")).ok(t)
	})
	t.Run("second factor", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("PasswordAuthentication yes", "AuthenticationMethods publickey,password")))
		r := run(t.Context(), t, s.dialer(t, newDialer, patient()), s.target("true"))
		r.want(t, never, fleet.ReasonAuthIncomplete, fleet.PhaseAuth, 0)
		if !strings.Contains(r.Err.Error(), `next="password"`) {
			t.Errorf("cause %q does not say what is wanted next", r.Err)
		}
	})
	t.Run("passwords only", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("PubkeyAuthentication no")))
		r := run(t.Context(), t, s.dialer(t, newDialer, patient()), s.target("true"))
		r.want(t, never, fleet.ReasonAuthFailed, fleet.PhaseAuth, 0)
	})
	t.Run("no sessions", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxSessions 0")))
		r := run(t.Context(), t, s.dialer(t, newDialer, patient()), s.target("true"))
		r.want(t, never, fleet.ReasonSessionRefused, fleet.PhaseSession, 0)
	})
	t.Run("banner", func(t *testing.T) {
		banner := t.TempDir() + "/banner"
		writeFile(t, banner, strings.Repeat("\x1b[2Jauthorised use only\n", 100))
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("LogLevel VERBOSE", "Banner "+banner)))
		r := run(t.Context(), t, s.dialer(t, newDialer, patient()), s.target("echo hello"))
		r.ok(t)
		if string(r.stdout) != "hello\n" || len(r.stderr) != 0 {
			t.Errorf("output %q and %q, want the command's alone", r.stdout, r.stderr)
		}
	})
	t.Run("forced command", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("ForceCommand echo forced; exit 4")))
		r := run(t.Context(), t, s.dialer(t, newDialer, patient()), s.target("echo hello"))
		r.want(t, fleet.OutcomeFailed, fleet.ReasonNone, fleet.PhaseDrain, fleet.FlagExitKnown)
		if r.Status != 4 || string(r.stdout) != "forced\n" {
			t.Errorf("status %d and %q, want 4 and what the forced command said", r.Status, r.stdout)
		}
	})
	t.Run("background child", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t))
		timeouts := patient()
		timeouts.Drain = short
		r := run(t.Context(), t, s.dialer(t, newDialer, timeouts), s.target("sleep 5 & echo started"))
		r.want(t, fleet.OutcomeOK, fleet.ReasonNone, fleet.PhaseDrain, fleet.FlagExitKnown|fleet.FlagOutputIncomplete)
		if string(r.stdout) != "started\n" {
			t.Errorf("stdout %q", r.stdout)
		}
	})
	t.Run("environment", func(t *testing.T) { // SendEnv and SetEnv
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("AcceptEnv X_*")))
		target := withEnv(s.target(`echo "$X_A,$X_B,$Y"`), "X_A=sent", "Y=refused", "X_B=b  c=d", "X_A=set")
		r := runAt(t.Context(), t, s.dialer(t, newDialer, patient()), target)
		r.ok(t)
		if string(r.stdout) != "set,b  c=d,\n" {
			t.Errorf("stdout %q", r.stdout)
		}
		// Of those of SetEnv, the last ones, a refusal is flagged.
		for set, want := range map[int]fleet.Flags{2: 0, 3: fleet.FlagEnvRefused} {
			target.Endpoint.Settings.EnvSet = set
			r := runAt(t.Context(), t, s.dialer(t, newDialer, patient()), target)
			r.want(t, fleet.OutcomeOK, fleet.ReasonNone, fleet.PhaseDrain, fleet.FlagExitKnown|want)
		}
	})
	t.Run("long commands on Dropbear", func(t *testing.T) { // it closes the connection at 9,001 bytes
		s := realOne("dropbear", sshdtest.Dropbear(t))
		d := s.dialer(t, newDialer, patient())
		long := "echo ran; : " + strings.Repeat("x", 8988)
		run(t.Context(), t, d, s.target(long)).ok(t)
		for range 2 { // the second time, what the server is may be known
			r := run(t.Context(), t, d, s.target(long+"x"))
			r.want(t, never, fleet.ReasonBadTarget, fleet.PhaseKex, 0)
			if text := r.Err.Error(); !strings.Contains(text, "9001 bytes") || !strings.Contains(text, "\nhint: ") {
				t.Errorf("cause %q", text)
			}
		}
	})
	for _, kind := range []sshdtest.KeyType{sshdtest.Ed25519, sshdtest.ECDSA, sshdtest.RSA} {
		t.Run("host key "+string(kind), func(t *testing.T) {
			s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithHostKeys(kind)))
			run(t.Context(), t, s.dialer(t, newDialer, patient()), s.target("true")).ok(t)
		})
	}
}
