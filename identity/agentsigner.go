package identity

import (
	"context"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// An agentKey is a key whose private half is in the agent.
type agentKey struct {
	link *link
	key  ssh.PublicKey
}

// An agentSigner is an agentKey for one attempt, with whose context it ends.
type agentSigner struct {
	agentKey
	ctx    context.Context
	target fleet.Target
}

var _ ssh.MultiAlgorithmSigner = agentSigner{}

func (s agentSigner) PublicKey() ssh.PublicKey { return s.key }

func (s agentSigner) Algorithms() []string { return algorithmsOf(s.key) }

func (s agentSigner) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(random, data, "")
}

// SignWithAlgorithm signs with one of Algorithms; "" means the first.
func (s agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if algorithm == "" {
		algorithm = s.Algorithms()[0]
	}
	if !slices.Contains(s.Algorithms(), algorithm) {
		return nil, fmt.Errorf("a key of type %q is not used with %.64q", s.key.Type(), algorithm)
	}
	signature, err := s.link.sign(s.ctx, s.key, data, algorithm)
	if err != nil {
		return nil, fail(s.target, fleet.ReasonAgentUnavailable,
			fmt.Errorf("signing with %s in the agent: %w", ssh.FingerprintSHA256(s.key), err))
	}
	return signature, nil
}

func fail(t fleet.Target, reason fleet.Reason, err error) *fleet.Error {
	return &fleet.Error{
		Host:    t.Host.String(),
		Outcome: fleet.OutcomeNeverStarted,
		Phase:   fleet.PhaseAuth,
		Reason:  reason,
		Err:     err,
	}
}
