package hold

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"slices"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// A login is with what a target was logged in to.
type login struct {
	settings *ssh.Settings // which say what keys a target has
	key      string        // in wire form
}

// hasUserKey reports whether a key is still among those that a target is offered.
func (p *Pool) hasUserKey(ctx context.Context, t ssh.Target, key xssh.PublicKey) bool {
	p.mu.Lock()
	users, found := p.users, p.ours
	p.mu.Unlock()
	if users == nil || key == nil {
		return true
	}
	of := login{t.Settings(), string(key.Marshal())}
	p.mu.Lock()
	ours, known := found[of]
	p.mu.Unlock()
	if known {
		return ours
	}
	signers, err := users.Signers(ctx, t)
	if ctx.Err() != nil {
		return false
	}
	ours = err == nil && slices.ContainsFunc(signers, func(s xssh.Signer) bool { return string(s.PublicKey().Marshal()) == of.key })
	p.mu.Lock()
	defer p.mu.Unlock()
	found[of] = ours
	return ours
}

// HostKeys returns what checks the keys of new connections: what Use was called with, and the
// keys of the connections that were held before.
func (p *Pool) HostKeys() ssh.HostKeys { return trust{p} }

type trust struct{ pool *Pool }

var errNoHostKeys = errors.New("no host keys are known yet")

func (t trust) current() ssh.HostKeys {
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	return t.pool.keys
}

// checked returns what is current, once that has checked the key too: another run may have begun since Check, with a
// known_hosts that was read anew. release must follow unless the key was stored then.
func (t trust) checked(to ssh.Target, key xssh.PublicKey) (_ ssh.HostKeys, release func(), err error) {
	t.pool.mu.Lock()
	keys, others := t.pool.keys, t.pool.runs > 1
	t.pool.mu.Unlock()
	switch {
	case keys == nil:
		return nil, nil, errNoHostKeys
	case !others:
		return keys, func() {}, nil
	}
	if err := keys.Check(to, nil, key); err != nil {
		return nil, nil, err
	}
	return keys, func() { ssh.ReleaseKey(keys, to, key) }, nil
}

// Algorithms implements ssh.HostKeys.
func (t trust) Algorithms(to ssh.Target) []string {
	if keys := t.current(); keys != nil {
		return keys.Algorithms(to)
	}
	return nil
}

// Check implements ssh.HostKeys.
func (t trust) Check(to ssh.Target, remote net.Addr, key xssh.PublicKey) error {
	keys := t.current()
	if keys == nil {
		return errNoHostKeys
	}
	if err := keys.Check(to, remote, key); err != nil {
		return err
	}
	if !t.replaced(to, key) || ssh.Proven(keys, to, key) {
		return nil
	}
	ssh.ReleaseKey(keys, to, key)
	return &fleet.Error{
		Host: to.Host.String(), Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseHostkey, Reason: fleet.ReasonHostkeyReplaced,
		Err: hint.New("the host has another key than on the connection that was held before: "+xssh.FingerprintSHA256(key),
			"if that is right, add the key to known_hosts (shoal keys), or begin anew"),
	}
}

// replaced reports whether a connection to the target was held that had another key.
func (t trust) replaced(to ssh.Target, key xssh.PublicKey) bool {
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	at := t.pool.known[nameOf(to.Target)]
	return at != nil && at.had && at.pin != sha256.Sum256(key.Marshal())
}

// Accepted implements ssh.HostKeys.
func (t trust) Accepted(ctx context.Context, to ssh.Target, key xssh.PublicKey) error {
	keys, release, err := t.checked(to, key)
	if err != nil {
		return err
	}
	if err = keys.Accepted(ctx, to, key); err != nil {
		release()
	}
	return err
}

// Released implements ssh.KeyReleaser.
func (t trust) Released(to ssh.Target, key xssh.PublicKey) {
	if keys := t.current(); keys != nil {
		ssh.ReleaseKey(keys, to, key)
	}
}

// AllowPassword implements ssh.PasswordGuard.
func (t trust) AllowPassword(ctx context.Context, to ssh.Target, key xssh.PublicKey) error {
	keys, release, err := t.checked(to, key)
	if err != nil {
		return err
	}
	guard, ok := keys.(ssh.PasswordGuard)
	if !ok {
		release()
		return errNoHostKeys
	}
	if err = guard.AllowPassword(ctx, to, key); err != nil {
		release()
	}
	return err
}

// Proven implements ssh.KeyProver.
func (t trust) Proven(to ssh.Target, key xssh.PublicKey) bool {
	return ssh.Proven(t.current(), to, key)
}

// AllowAgent implements ssh.AgentGuard.
func (t trust) AllowAgent(to ssh.Target, key xssh.PublicKey) error {
	guard, ok := t.current().(ssh.AgentGuard)
	if !ok {
		return errNoHostKeys
	}
	return guard.AllowAgent(to, key)
}

// Explain implements ssh.KeyExplainer.
func (t trust) Explain(to ssh.Target, key xssh.PublicKey) string {
	if e, ok := t.current().(ssh.KeyExplainer); ok {
		return e.Explain(to, key)
	}
	return "accepted"
}
