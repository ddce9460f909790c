package client

import (
	"errors"
	"io"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/sshdtest"
)

// A server that ends authentication with DISCONNECT has not run what was sent with
// it, and there is no further connection: it has rejected the key.
func TestDisconnectedInAuthentication(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t, sshdtest.WithMaxAuthTries(1))
	wrong := newSigner(t, sshdtest.Ed25519)
	runs := newCounter(t)
	for name, known := range map[string]bool{"first contact": false, "remembered": true} {
		r := newRig(s.Host, s.HostKeys, wrong)
		if known {
			r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
		}
		r.run(t, runs.command()).want(t, fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, fleet.PhaseAuth)
		if n := r.dialled(); n != 1 || r.early() != known || runs.runs(t) != 0 {
			t.Errorf("%s: dialled %d times, early %t, ran %d times; want 1, %t, 0", name, n, r.early(), runs.runs(t), known)
		}
	}
}

// A server that requires two keys gets two: after the first the others are offered.
// faults.md: A04
func TestTwoKeysWanted(t *testing.T) {
	t.Parallel()
	second, wrong := newSigner(t, sshdtest.Ed25519), newSigner(t, sshdtest.Ed25519)
	s := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(second.PublicKey()),
		sshdtest.WithConfig("AuthenticationMethods publickey,publickey"))
	r := newRig(s.Host, s.HostKeys, wrong, s.Signer, second)
	r.Memory = newMemory(t)
	for _, contact := range []string{"first", "second", "third"} {
		runs := newCounter(t)
		r.run(t, runs.command()).ok(t, "done\n")
		if n := r.dialled(); n != 1 || runs.runs(t) != 1 {
			t.Errorf("%s contact: dialled %d times, ran %d times; want 1, 1", contact, n, runs.runs(t))
		}
	}
	r = newRig(s.Host, s.HostKeys, s.Signer)
	r.run(t, "true").want(t, fleet.OutcomeNeverStarted, fleet.ReasonAuthIncomplete, fleet.PhaseAuth)
}

// A toucher's key needs a person, so that the server is queried first.
type toucher struct{ xssh.Signer }

func (toucher) AskFirst() bool { return true }

// A touchedRSA is a toucher that can choose how it signs.
type touchedRSA struct{ xssh.MultiAlgorithmSigner }

func (touchedRSA) AskFirst() bool { return true }

// An unable key cannot sign.
type unable struct{ xssh.Signer }

func (unable) Sign(io.Reader, []byte) (*xssh.Signature, error) {
	return nil, errors.New("this key cannot sign")
}

// The command is sent early after a signed request, never after a query, even if
// the first key of all was skipped.
func TestNoCommandBehindAQuestion(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t)
	passed := unable{newSigner(t, sshdtest.Ed25519)}
	r := newRig(s.Host, s.HostKeys, passed, toucher{s.Signer})
	r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
	runs := newCounter(t)
	r.run(t, runs.command()).ok(t, "done\n")
	if r.early() || r.sent("exec") != 1 || runs.runs(t) != 1 {
		t.Errorf("early %t, sent %d times, ran %d times; want false, 1, 1", r.early(), r.sent("exec"), runs.runs(t))
	}

	r = newRig(s.Host, s.HostKeys, toucher{newSigner(t, sshdtest.RSA)}, s.Signer)
	r.settings = &ssh.Settings{UserKeys: []string{xssh.KeyAlgoED25519}}
	r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
	r.run(t, runs.command()).ok(t, "done\n")
	if !r.early() || r.sent("exec") != 1 || runs.runs(t) != 2 {
		t.Errorf("early %t, sent %d times, ran %d times; want true, 1, 2", r.early(), r.sent("exec"), runs.runs(t))
	}
}

// An RSA key signs by the best algorithm that PubkeyAcceptedAlgorithms leaves, and is not passed
// over because the server would take a better one.
func TestAllowedAlgorithmOfAnRSAKey(t *testing.T) {
	t.Parallel()
	key := newSigner(t, sshdtest.RSA)
	s := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(key.PublicKey()))
	for _, signer := range []xssh.Signer{key, touchedRSA{key.(xssh.MultiAlgorithmSigner)}} {
		for _, name := range []string{xssh.KeyAlgoRSASHA256, xssh.KeyAlgoRSASHA512} {
			r := newRig(s.Host, s.HostKeys, signer)
			r.settings = &ssh.Settings{UserKeys: []string{xssh.KeyAlgoED25519, name}}
			r.run(t, "true").ok(t, "")
		}
		r := newRig(s.Host, s.HostKeys, signer)
		r.settings = &ssh.Settings{UserKeys: []string{xssh.KeyAlgoED25519}}
		if e := r.run(t, "true"); e.Outcome != fleet.OutcomeNeverStarted {
			t.Errorf("without its algorithms: %v, %v", e.Outcome, e.Reason)
		}
	}
}

// That an agent is withheld and that a login was signed by SHA-1 is said together.
func TestFlagsOfALogin(t *testing.T) {
	t.Parallel()
	key := newSigner(t, sshdtest.RSA)
	s := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(key.PublicKey()), sshdtest.WithConfig("PubkeyAcceptedAlgorithms +ssh-rsa"))
	r := newRig(s.Host, s.HostKeys, key) // whose keys do not say that they were known
	r.settings = &ssh.Settings{UserKeys: []string{xssh.KeyAlgoRSA}, Agent: ssh.AgentSpec{Socket: "/nowhere"}}
	d := r.newDialer(t)
	defer func() { _ = d.Close() }()
	a := attemptAt(r, "true")
	a.Agent = true
	end := attemptWith(t, d, a)
	if want := fleet.FlagNoAgent | fleet.FlagLegacy; end.Outcome != fleet.OutcomeOK || !end.Flags.Has(want) {
		t.Errorf("ended %v(%s) with flags %q, want %q among them: %v", end.Outcome, end.Reason, end.Flags, want, end.Err)
	}
}
