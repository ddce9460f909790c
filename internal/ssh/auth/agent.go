package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// An agent is the connection to one SSH agent and its key list, which is requested once.
type agent struct {
	link *agentClient

	listed  chan struct{} // closed by load; the fields below must not be read before
	keys    []*agentKey
	notices []string
	err     error // why there is no list
}

func newAgent(socket string, limit time.Duration) *agent {
	return &agent{link: newAgentClient(socket, limit, window), listed: make(chan struct{})}
}

// load requests the list, bounded by the client's limits too. ctx must not be that of one target: if
// that gives up it must not lose the list for the others.
func (a *agent) load(ctx context.Context) {
	defer close(a.listed)
	list, err := a.list(ctx)
	if err != nil {
		a.err = err
		a.notices = append(a.notices, fmt.Sprintf("agent at %q: %v", a.link.socket, err))
		return
	}
	for _, entry := range list {
		public, err := parsePublic(entry.blob)
		if err != nil {
			a.notices = append(a.notices, fmt.Sprintf("agent's key %.64q: %v", entry.comment, err))
			continue
		}
		k := &agentKey{link: a.link, public: public, blob: string(entry.blob)}
		k.slow.Store(isHardware(public) || onToken(entry.comment))
		a.keys = append(a.keys, k)
	}
}

// same reports whether two agents have listed the same keys in the same order.
func (a *agent) same(b *agent) bool {
	return (a.err == nil) == (b.err == nil) && slices.EqualFunc(a.keys, b.keys, func(x, y *agentKey) bool { return x.blob == y.blob })
}

func (a *agent) list(ctx context.Context) ([]listed, error) {
	request, err := frame([]byte{msgRequestIdentities})
	if err != nil {
		return nil, err
	}
	got := a.link.do(ctx, request)
	if got.err != nil {
		return nil, got.err
	}
	list, err := parseList(got.reply)
	if err != nil {
		a.link.reset()
	}
	return list, err
}

// find returns the agent's key, or nil if it has none. a may be nil.
func (a *agent) find(public ssh.PublicKey) *agentKey {
	if a == nil || public == nil {
		return nil
	}
	blob := string(public.Marshal())
	for _, k := range a.keys {
		if k.blob == blob {
			return k
		}
	}
	return nil
}

// certificates returns the agent's certificates for a plain key. a may be nil.
func (a *agent) certificates(public ssh.PublicKey) []*agentKey {
	if a == nil || public == nil {
		return nil
	}
	var list []*agentKey
	for _, k := range a.keys {
		if cert, ok := k.public.(*ssh.Certificate); ok && string(cert.Key.Marshal()) == string(public.Marshal()) {
			list = append(list, k)
		}
	}
	return list
}

// onToken guesses from the comment whether a key is on a smart card: OpenSSH's agent names the
// PKCS #11 provider, GnuPG's the card.
func onToken(comment string) bool {
	return strings.HasPrefix(comment, "cardno:") || strings.HasPrefix(comment, "pkcs11:") ||
		strings.HasPrefix(comment, "/") && (strings.Contains(comment, ".so") || strings.HasSuffix(comment, ".dylib"))
}

// attended is the signing time above which a signature is assumed to have waited for a person:
// for a touch, a PIN or a confirmation.
const attended = time.Second

// An agentKey is a key whose private half is in the agent.
type agentKey struct {
	link   *agentClient
	public ssh.PublicKey // a *ssh.Certificate if the agent has one
	blob   string        // public, as the agent lists it
	slow   atomic.Bool   // a signature may need a person
}

// sign requests a signature from the agent and verifies it: a server would count a wrong
// signature as a failed login.
func (k *agentKey) sign(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error) {
	request, err := frame(ssh.Marshal(signRequest{Key: []byte(k.blob), Data: data, Flags: flagsOf(algorithm)}))
	if err != nil {
		return nil, err
	}
	got := k.link.do(ctx, request)
	if got.err != nil {
		return nil, got.err
	}
	if got.took >= attended {
		k.slow.Store(true)
	}
	signature, err := k.check(got.reply, data, algorithm)
	if err != nil && !errors.Is(err, ErrAgentRefused) {
		k.link.reset()
	}
	return signature, err
}

func (k *agentKey) check(reply, data []byte, algorithm string) (*ssh.Signature, error) {
	signature, err := parseSignature(reply)
	if err != nil {
		return nil, err
	}
	if signature.Format != algorithm {
		return nil, fmt.Errorf("the agent signed with %.32q instead of %q", signature.Format, algorithm)
	}
	if len(signature.Rest) > 0 && !isHardware(k.public) {
		return nil, fmt.Errorf("%d bytes follow the agent's signature", len(signature.Rest))
	}
	if err := k.public.Verify(data, signature); err != nil {
		return nil, fmt.Errorf("the agent's signature is wrong: %w", err)
	}
	return signature, nil
}

// flagsOf makes RSA keys sign with SHA-2 (draft-ietf-sshm-ssh-agent §4.6.1).
func flagsOf(algorithm string) uint32 {
	switch algorithm {
	case ssh.KeyAlgoRSASHA256:
		return flagRSASHA256
	case ssh.KeyAlgoRSASHA512:
		return flagRSASHA512
	}
	return 0
}
