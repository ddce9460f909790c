package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
)

// An agentSigner is an agentKey for one attempt; it is cancelled with the attempt's context.
type agentSigner struct {
	holder *agentKey
	public ssh.PublicKey // the offered key: from a certificate file, or the holder's
	ctx    context.Context
	target fleet.Target
	sha1   bool // see KeySpec.SHA1
	from   string
}

// From returns where the key is from, for people.
func (s agentSigner) From() string { return s.from }

var _ ssh.MultiAlgorithmSigner = agentSigner{}

func (s agentSigner) PublicKey() ssh.PublicKey { return s.public }

func (s agentSigner) Algorithms() []string { return algorithmsOf(s.public) }

// AskFirst reports whether a signature may require a person's touch, PIN or consent. If it
// does, a Dialer first asks the server whether it accepts the key (RFC 4252 §7, a request
// without signature).
func (s agentSigner) AskFirst() bool { return s.holder.slow.Load() }

func (s agentSigner) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(random, data, "")
}

// SignWithAlgorithm signs with one of Algorithms; "" means the first.
func (s agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	algorithm, err := chooseAlgorithm(s.public, algorithm, s.sha1)
	if err != nil {
		return nil, err
	}
	signature, err := s.holder.sign(s.ctx, data, algorithm)
	if err != nil {
		return nil, fail(s.target, agentReason(err),
			hint.Wrap(fmt.Errorf("signing with %s in the agent: %w", ssh.FingerprintSHA256(s.public), err), agentHint(err)))
	}
	return signature, nil
}

// chooseAlgorithm checks the algorithm; "" means the key's best. With sha1 an RSA key may also
// sign as ssh-rsa.
func chooseAlgorithm(key ssh.PublicKey, algorithm string, sha1 bool) (string, error) {
	able := algorithmsOf(key)
	if algorithm == "" {
		return able[0], nil
	}
	if sha1 && plain(key).Type() == ssh.KeyAlgoRSA {
		able = append(able, ssh.KeyAlgoRSA)
	}
	if !slices.Contains(able, algorithm) {
		return "", fmt.Errorf("a key of type %q is not used with %.64q", key.Type(), algorithm)
	}
	return algorithm, nil
}

// agentReason does not blame the agent for a lack of file descriptors in our process.
func agentReason(err error) fleet.Reason {
	if noFiles(err) {
		return fleet.ReasonLocalFiles
	}
	return fleet.ReasonAgentUnavailable
}

func agentHint(err error) string {
	if errors.Is(err, ErrAgentRefused) {
		return "it may be locked (ssh-add -X), or the key added with a constraint on its use (ssh-add -c, -h)"
	}
	return ""
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
