package openssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"
	xagent "golang.org/x/crypto/ssh/agent"

	"shoal/fleet"
	"shoal/internal/ssh/sshreason"
)

// An agent lends the target's keys to the program until the login is over. A nil agent has no
// keys.
type agent struct {
	login    *login
	listener net.Listener
	all      sync.WaitGroup

	mu     sync.Mutex
	ctx    context.Context // ends at the deadline of authentication; nil: not begun
	cancel context.CancelFunc
	conns  []net.Conn
	ended  bool
	keys   []xssh.Signer // nil: not asked for
	err    error         // the last failure to list or to sign
	weak   bool          // made a SHA-1 signature
}

const agentSuffix = ".a"

func startAgent(l *login) (*agent, error) {
	listener, err := net.Listen("unix", l.path+agentSuffix) // removed by Close
	if err != nil {
		return nil, err
	}
	a := &agent{login: l, listener: listener}
	a.all.Go(a.serve)
	return a, nil
}

func (a *agent) serve() {
	for {
		c, err := a.listener.Accept()
		if err != nil {
			return
		}
		a.mu.Lock()
		if a.ended {
			_ = c.Close()
		} else {
			a.conns = append(a.conns, c)
			a.all.Go(func() {
				defer func() { _ = c.Close() }()
				defer func() { _ = recover() }() // a signer's panic ends the login
				_ = xagent.ServeAgent(lent{agent: a}, c)
			})
		}
		a.mu.Unlock()
	}
}

// begin is called when authentication begins, which ends by this instant.
func (a *agent) begin(by time.Time) {
	if a == nil {
		return
	}
	l := a.login
	late := sshreason.TimeoutError(fleet.PhaseAuth, l.timeouts, false)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.ctx, a.cancel = sshreason.LoginContext(l.ctx, l.dialer.opts.Clock, by, late)
	}
}

// end closes the socket and waits for the goroutines.
func (a *agent) end() {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.ended = true
	if a.cancel != nil {
		a.cancel()
	}
	for _, c := range a.conns {
		_ = c.Close()
	}
	a.mu.Unlock()
	_ = a.listener.Close()
	a.all.Wait()
}

// failed returns the last failure to list keys or to sign.
func (a *agent) failed() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// listed returns how many keys the program was told of.
func (a *agent) listed() int {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.keys)
}

func (a *agent) sha1() bool {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.weak
}

// signers returns the keys of the target.
func (a *agent) signers() ([]xssh.Signer, error) {
	a.mu.Lock()
	ctx, keys := a.ctx, a.keys
	a.mu.Unlock()
	if ctx == nil { // the program lists keys only to log in
		return nil, errors.New("the keys were asked for before the host key was accepted")
	}
	if keys != nil {
		return keys, nil
	}
	keys, err := a.login.dialer.opts.Identities.Signers(ctx, a.login.attempt.Target)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.err = err
		return nil, err
	}
	a.keys = slices.Clip(append([]xssh.Signer{}, keys...))
	return a.keys, nil
}

// lent implements xagent.ExtendedAgent. It only lists keys and signs.
type lent struct {
	agent *agent
	xagent.ExtendedAgent
}

// List implements xagent.Agent.
func (l lent) List() ([]*xagent.Key, error) {
	signers, err := l.agent.signers()
	if err != nil {
		return nil, err
	}
	var list []*xagent.Key
	for _, s := range signers {
		key := s.PublicKey()
		list = append(list, &xagent.Key{Format: key.Type(), Blob: key.Marshal(), Comment: "shoal"})
	}
	return list, nil
}

// SignWithFlags implements xagent.ExtendedAgent.
func (l lent) SignWithFlags(key xssh.PublicKey, data []byte, flags xagent.SignatureFlags) (*xssh.Signature, error) {
	signers, err := l.agent.signers()
	if err != nil {
		return nil, err
	}
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			sig, err := l.sign(s, data, flags)
			if err != nil {
				l.agent.mu.Lock()
				l.agent.err = err
				l.agent.mu.Unlock()
			}
			return sig, err
		}
	}
	return nil, errors.New("no such key")
}

func (l lent) sign(s xssh.Signer, data []byte, flags xagent.SignatureFlags) (*xssh.Signature, error) {
	algorithm := xssh.KeyAlgoRSA
	switch {
	case flags&xagent.SignatureFlagRsaSha512 != 0:
		algorithm = xssh.KeyAlgoRSASHA512
	case flags&xagent.SignatureFlagRsaSha256 != 0:
		algorithm = xssh.KeyAlgoRSASHA256
	}
	able, ok := s.(xssh.AlgorithmSigner)
	switch {
	case strings.TrimSuffix(s.PublicKey().Type(), "-cert-v01@openssh.com") != xssh.KeyAlgoRSA || !ok:
		return s.Sign(rand.Reader, data)
	case algorithm == xssh.KeyAlgoRSA && !l.agent.login.attempt.Target.Settings().Keys.SHA1:
		return nil, errors.New("the server takes only SHA-1 signatures from this key")
	}
	sig, err := able.SignWithAlgorithm(rand.Reader, data, algorithm)
	if err == nil && algorithm == xssh.KeyAlgoRSA {
		l.agent.mu.Lock()
		l.agent.weak = true
		l.agent.mu.Unlock()
	}
	return sig, err
}

// Sign implements xagent.Agent.
func (l lent) Sign(key xssh.PublicKey, data []byte) (*xssh.Signature, error) {
	return l.SignWithFlags(key, data, 0)
}

// Extension implements xagent.ExtendedAgent. ssh tells the agent of the session's host key,
// which it need not answer.
func (l lent) Extension(string, []byte) ([]byte, error) {
	return nil, xagent.ErrExtensionUnsupported
}
