package openssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/sshreason"
)

// An agent lends the target's keys to the program until the login is over. A nil agent has no
// keys.
type agent struct {
	login    *login
	listener net.Listener
	all      sync.WaitGroup
	begun    chan struct{} // closed by begin, or by end
	once     sync.Once     // of begun

	waiting atomic.Int32 // calls of Identities and signers whose errors are not in err yet

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
	a := &agent{login: l, listener: listener, begun: make(chan struct{})}
	a.all.Go(a.serve)
	return a, nil
}

func (a *agent) serve() {
	for {
		c, err := a.listener.Accept()
		if err != nil {
			a.cannot(err)
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
				_ = a.answer(c)
			})
		}
		a.mu.Unlock()
	}
}

// cannot has the program go on without keys if no further connection is accepted, as without a descriptor:
// it would wait for an answer until the deadline.
func (a *agent) cannot(err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	f := a.login.local(err)
	a.mu.Lock()
	a.err = f
	a.mu.Unlock()
	_ = a.listener.Close()
}

// begin is called when authentication begins, which ends by this instant.
func (a *agent) begin(by time.Time) {
	if a == nil {
		return
	}
	l := a.login
	late := sshreason.TimeoutError(fleet.PhaseAuth, l.timeouts, l.byConnect(by))
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.ctx, a.cancel = sshreason.LoginContext(l.ctx, l.dialer.opts.Clock, by, late)
	}
	a.once.Do(func() { close(a.begun) })
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
	a.once.Do(func() { close(a.begun) })
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

// waits reports whether a key is being looked for, or asked for a signature.
func (a *agent) waits() bool { return a != nil && a.waiting.Load() > 0 }

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

// signers returns the keys of the target. They are asked for once authentication has begun,
// which this process sees from the program's bytes, perhaps after the program.
func (a *agent) signers() ([]xssh.Signer, error) {
	<-a.begun
	a.mu.Lock()
	ctx, keys := a.ctx, a.keys
	a.mu.Unlock()
	if keys != nil || ctx == nil {
		return keys, nil
	}
	a.waiting.Add(1)
	defer a.waiting.Add(-1)
	keys, err := a.login.dialer.opts.Identities.Signers(ctx, a.login.attempt.Target)
	a.mu.Lock()
	defer a.mu.Unlock()
	if f, ok := errors.AsType[*fleet.Error](err); ok && f.Reason == fleet.ReasonNoIdentity {
		err = nil // there may be other ways
	}
	if err != nil {
		a.err = err
		return nil, err
	}
	a.keys = append([]xssh.Signer{}, keys...)
	return a.keys, nil
}

// Messages of the agent protocol (draft-ietf-sshm-ssh-agent §6).
type (
	listAnswer struct {
		Number uint32 `sshtype:"12"`
		Keys   []byte `ssh:"rest"`
	}
	listed struct {
		Blob    []byte
		Comment string
	}
	signRequest struct {
		Blob  []byte `sshtype:"13"`
		Data  []byte
		Flags uint32
	}
	signAnswer struct {
		Signature []byte `sshtype:"14"`
	}
)

const (
	agentFailure = 5
	agentList    = 11
	flagSHA256   = 2
	flagSHA512   = 4

	maxRequest = 256 << 10 // bytes, as OpenSSH's AGENT_MAX_LEN
)

// answer serves one connection of the program. Whatever is not listing and signing fails.
func (a *agent) answer(c net.Conn) error {
	for {
		head := make([]byte, 4)
		if _, err := io.ReadFull(c, head); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(head)
		if n == 0 || n > maxRequest {
			return fmt.Errorf("a request of %d bytes", n)
		}
		request := make([]byte, n)
		if _, err := io.ReadFull(c, request); err != nil {
			return err
		}
		answer := []byte{agentFailure}
		var sign signRequest
		if request[0] == agentList {
			answer = a.list()
		} else if xssh.Unmarshal(request, &sign) == nil {
			answer = a.sign(sign)
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)); err != nil {
			return err
		}
	}
}

func (a *agent) list() []byte {
	signers, err := a.signers()
	if err != nil {
		return []byte{agentFailure}
	}
	made := listAnswer{Number: uint32(len(signers))}
	for _, s := range signers {
		made.Keys = append(made.Keys, xssh.Marshal(listed{s.PublicKey().Marshal(), "shoal"})...)
	}
	return xssh.Marshal(made)
}

// sign makes a signature with the first signer of the key that can: there may be several.
func (a *agent) sign(r signRequest) []byte {
	a.waiting.Add(1)
	defer a.waiting.Add(-1)
	signers, _ := a.signers() // none, if they cannot be had
	for _, s := range signers {
		if !bytes.Equal(s.PublicKey().Marshal(), r.Blob) {
			continue
		}
		sig, err := a.signature(s, r.Data, r.Flags)
		if err == nil {
			return xssh.Marshal(signAnswer{xssh.Marshal(sig)})
		}
		a.mu.Lock()
		a.err = err
		a.mu.Unlock()
	}
	return []byte{agentFailure}
}

func (a *agent) signature(s xssh.Signer, data []byte, flags uint32) (*xssh.Signature, error) {
	algorithm := xssh.KeyAlgoRSA
	switch {
	case flags&flagSHA512 != 0:
		algorithm = xssh.KeyAlgoRSASHA512
	case flags&flagSHA256 != 0:
		algorithm = xssh.KeyAlgoRSASHA256
	}
	able, ok := s.(xssh.AlgorithmSigner)
	switch {
	case strings.TrimSuffix(s.PublicKey().Type(), "-cert-v01@openssh.com") != xssh.KeyAlgoRSA || !ok:
		return s.Sign(rand.Reader, data)
	case algorithm == xssh.KeyAlgoRSA && !a.login.attempt.Target.Settings().Keys.SHA1:
		return nil, errors.New("the server takes only SHA-1 signatures from this key")
	}
	sig, err := able.SignWithAlgorithm(rand.Reader, data, algorithm)
	if err == nil && algorithm == xssh.KeyAlgoRSA {
		a.mu.Lock()
		a.weak = true
		a.mu.Unlock()
	}
	return sig, err
}
