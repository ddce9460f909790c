package sshtest

import (
	"context"
	"errors"
	"io"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// noKeys fails like an agent that has gone away.
type noKeys struct{ err error }

func (n noKeys) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return nil, n.err }

// broken is a key whose agent refuses to sign.
type broken struct{ xssh.Signer }

func (broken) Sign(io.Reader, []byte) (*xssh.Signature, error) {
	return nil, &fleet.Error{
		Reason: fleet.ReasonAgentUnavailable, Phase: fleet.PhaseAuth,
		Outcome: fleet.OutcomeNeverStarted, Err: errors.New("the agent refused"),
	}
}

// testIdentities offers wrong keys, several keys and no keys.
func testIdentities(t *testing.T, newDialer Factory) {
	for _, s := range everyKind(t) {
		trusting := &exact{trusted: []xssh.PublicKey{s.hostKey}}
		dialer := func(t testing.TB, ids ssh.Identities) ssh.Dialer {
			return newDialer(t, Config{HostKeys: trusting, Identities: ids, Timeouts: patient()})
		}
		never := fleet.OutcomeNeverStarted
		t.Run(s.name+"/wrong key", func(t *testing.T) {
			r := run(t.Context(), t, dialer(t, keys{newKey(t)}), s.target("true"))
			r.want(t, never, fleet.ReasonAuthFailed, fleet.PhaseAuth, 0)
		})
		t.Run(s.name+"/second key is right", func(t *testing.T) {
			run(t.Context(), t, dialer(t, keys{newKey(t), s.signer}), s.target("true")).ok(t)
		})
		t.Run(s.name+"/no key", func(t *testing.T) {
			r := run(t.Context(), t, dialer(t, keys{}), s.target("true"))
			r.want(t, never, fleet.ReasonNoIdentity, fleet.PhaseAuth, 0)
		})
		t.Run(s.name+"/agent gone", func(t *testing.T) {
			r := run(t.Context(), t, dialer(t, noKeys{errors.New("agent has gone")}), s.target("true"))
			r.want(t, never, fleet.ReasonAgentUnavailable, fleet.PhaseAuth, 0)
		})
		t.Run(s.name+"/signing fails", func(t *testing.T) {
			r := run(t.Context(), t, dialer(t, keys{broken{s.signer}}), s.target("true"))
			r.want(t, never, fleet.ReasonAgentUnavailable, fleet.PhaseAuth, 0)
		})
	}
}
