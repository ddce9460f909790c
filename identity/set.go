package identity

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Set is the keys of a run. It is safe for concurrent use.
type Set struct {
	keys     []key
	notices  []string
	link     *link // nil without an agent
	agentErr error // why the agent gave no list
}

// A key is offered as one of two kinds.
type key struct {
	public ssh.PublicKey
	signer ssh.Signer // nil for a key in the agent
}

// Signers lists the keys to offer, the same to every target; those in the agent
// end with ctx. Without any key the error is a *fleet.Error with
// fleet.ReasonNoIdentity, or fleet.ReasonAgentUnavailable when the agent was
// asked and did not answer.
func (s *Set) Signers(ctx context.Context, t fleet.Target) ([]ssh.Signer, error) {
	if len(s.keys) == 0 {
		if s.agentErr != nil {
			return nil, fail(t, fleet.ReasonAgentUnavailable, fmt.Errorf("listing the agent's keys: %w\n"+
				"hint: start the agent, or name a key file", s.agentErr))
		}
		return nil, fail(t, fleet.ReasonNoIdentity, errNoIdentity)
	}
	signers := make([]ssh.Signer, len(s.keys))
	for i, k := range s.keys {
		if k.signer != nil {
			signers[i] = k.signer
			continue
		}
		signers[i] = agentSigner{agentKey: agentKey{s.link, k.public}, ctx: ctx, target: t}
	}
	return signers, nil
}

var errNoIdentity = errors.New("there is no key to offer\n" +
	"hint: name a key file, or add a key to the agent with ssh-add")

// Keys lists the public halves of what Signers gives, in its order.
func (s *Set) Keys() []ssh.PublicKey {
	keys := make([]ssh.PublicKey, len(s.keys))
	for i, k := range s.keys {
		keys[i] = k.public
	}
	return keys
}

// Notices says in words for people which keys were left out, and why.
func (s *Set) Notices() []string { return s.notices }

// Close ends the connection to the agent. Signers already given out may open a
// new one.
func (s *Set) Close() error {
	if s.link != nil {
		s.link.close()
	}
	return nil
}
