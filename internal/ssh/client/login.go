package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// A login is user authentication (RFC 4252): the keys in turn, the remembered one
// first, then a password if there is one and the server accepts passwords.
type login struct {
	handshake *handshake
	methods   []string // to try, in this order
	taken     []string // what the server takes, from its last rejection; nil: not known
	keys      []candidate
	next      int // index into keys
	started   bool
	offered   int
	accepted  []byte // key being tried, or accepted, in wire form
	answered  bool   // the server has answered a request
	proven    bool   // a factor was accepted, and the server requires another
	password  passwordState
	asked     bool  // keyboard-interactive authentication was begun
	abandoned bool  // and its prompts were left without an answer
	barred    bool  // the server gets no password
	withheld  error // why it got none, or no further one
	signErr   error // the last failure to sign

	// ctx limits every local wait: it ends at the deadline of the phase, and with the
	// handshake.
	ctx    context.Context
	cancel context.CancelFunc
	told   func(accepted bool) // receives the answer to the password
	local  bool                // the deadline passed during a local wait
}

// begin starts authentication after the host key was trusted.
func (l *login) begin() *fleet.Error {
	h := l.handshake
	l.ctx, l.cancel = sshreason.LoginContext(h.ctx, h.dialer.opts.Clock, h.deadline, h.late())
	if l.methods = h.attempt.Target.Methods(); slices.Contains(l.methods, "publickey") {
		signers, err := h.dialer.opts.Identities.Signers(l.ctx, h.attempt.Target)
		if f := l.overdue(err); f != nil {
			return f
		}
		if err != nil {
			f := sshreason.Refusal(h.attempt, fleet.PhaseAuth, fleet.ReasonAgentUnavailable, err)
			if h.dialer.opts.Passwords == nil && !h.dialer.asksMethods(l.ctx, h.attempt.Target) {
				return f
			}
			l.signErr = f
		}
		l.keys = h.dialer.candidates(signers, h.plan.key, l.sha1())
	}
	if !h.plan.earlyAuth {
		h.link.client.RequestService()
		return nil
	}
	return l.start()
}

// end releases what the login holds. It may be called before begin.
func (l *login) end() {
	if l.cancel != nil {
		l.cancel()
	}
}

// overdue returns the failure of a login whose local wait, which returned err,
// exceeded the deadline or was ended by the run; nil if there is time left.
func (l *login) overdue(err error) *fleet.Error {
	h := l.handshake
	switch {
	case h.ctx.Err() != nil:
		return h.interrupted()
	case l.ctx.Err() == nil:
		return nil
	case err == nil:
		err = context.Cause(l.ctx)
	}
	l.local = true
	return sshreason.Refusal(h.attempt, fleet.PhaseAuth, fleet.ReasonAuthTimeout, err)
}

// start sends the first request, followed by the command if it is sent early.
func (l *login) start() *fleet.Error {
	l.started = true
	if f := l.proceed(); f != nil {
		return f
	}
	h := l.handshake
	alone := !h.server.traits.oneKey || len(l.keys) == 1
	if h.plan.earlyExec && l.offered == 1 && !l.keys[l.next-1].askFirst && alone {
		return h.session.open(true)
	}
	return nil
}

// proceed sends the next request that may succeed.
func (l *login) proceed() *fleet.Error {
	h := l.handshake
	for _, method := range l.methods {
		if l.taken != nil && !slices.Contains(l.taken, method) {
			continue
		}
		if method == "publickey" {
			if sent, f := l.tryKey(); sent || f != nil {
				return f
			}
			if l.offered == 0 && l.taken == nil && h.dialer.asksMethods(l.ctx, h.attempt.Target) {
				h.link.client.AuthNone(h.attempt.Target.User)
				return nil
			}
			continue
		}
		if h.dialer.opts.Passwords == nil || l.password != passwordUnused || l.barred || method == "keyboard-interactive" && l.asked {
			continue
		}
		if l.taken == nil {
			h.attempt.Tell("asking which methods the server takes")
			h.link.client.AuthNone(h.attempt.Target.User) // the failure lists the methods
			return nil
		}
		if h.server.traits.oneKey && h.link.exec.Queued() {
			return h.fail(fleet.ReasonConnClosed, errors.New(
				"the server ends a connection on which a command came behind a key that it rejects"))
		}
		if sent, f := l.sendPassword(method); sent || f != nil {
			if sent && h.attempt.Verbose != nil {
				h.attempt.Tell("sent the password (%s)", method)
			}
			return f
		}
	}
	return l.exhausted(l.taken)
}

// tryKey sends the next key that may succeed.
func (l *login) tryKey() (sent bool, f *fleet.Error) {
	h := l.handshake
	for l.next < len(l.keys) {
		k := &l.keys[l.next]
		l.next++
		algorithm := k.algorithm(h.link.client.SignatureAlgorithms(), h.server.traits, l.allowed)
		if algorithm == "" {
			continue
		}
		l.accepted = k.blob
		if k.askFirst {
			l.offered++
			l.tellKey(k, algorithm, "asking whether the server takes the key")
			h.link.client.QueryPublicKey(h.attempt.Target.User, algorithm, k.blob)
			return true, nil
		}
		if l.sign(k, algorithm) {
			return true, nil
		}
		if f := l.overdue(l.signErr); f != nil {
			return false, f
		}
	}
	l.accepted = nil
	return false, nil
}

// allowed reports whether the target's settings permit the signature algorithm.
func (l *login) allowed(algorithm string) bool {
	own := l.handshake.attempt.Target.Settings().UserKeys
	return own == nil || slices.Contains(own, algorithm)
}

// sha1 reports whether the target's settings name ssh-rsa for user keys.
func (l *login) sha1() bool {
	return slices.Contains(l.handshake.attempt.Target.Settings().UserKeys, xssh.KeyAlgoRSA)
}

// sign sends a signed request. It returns false for a key that cannot sign, which
// is then skipped.
func (l *login) sign(k *candidate, algorithm string) bool {
	h := l.handshake
	user := h.attempt.Target.User
	sig, err := k.sign(h.link.client.SignatureData(user, algorithm, k.blob), algorithm)
	if err != nil {
		l.signErr = err
		if h.attempt.Verbose != nil {
			h.attempt.Tell("the key %s cannot sign: %s", ssh.KeyName(k.signer), ssh.Brief(err))
		}
		return false
	}
	h.attempt.Signed.Store(true)
	if !k.askFirst {
		l.offered++
		l.tellKey(k, algorithm, "offering the key")
	}
	h.link.client.AuthPublicKey(user, algorithm, k.blob, sig)
	return true
}

// take processes the server's answer.
func (l *login) take(ev wire.Event) *fleet.Error {
	switch ev := ev.(type) {
	case wire.ServiceAccepted:
		if !l.started {
			return l.start()
		}
	case wire.AuthSuccess:
		l.answered = true
		l.passwordAnswered(true)
		l.handshake.link.exec.LetIn()
		l.tellLetIn()
		if l.accepted != nil {
			l.handshake.attempt.LoggedIn(l.keys[l.next-1].signer.PublicKey())
		}
		if l.accepted != nil && l.keys[l.next-1].sha1 {
			l.handshake.session.flags |= fleet.FlagLegacy
		}
		l.handshake.over = true
	case wire.AuthFailure:
		return l.failed(ev)
	case wire.PublicKeyOK:
		k := &l.keys[l.next-1]
		h := l.handshake
		if !l.sign(k, k.algorithm(h.link.client.SignatureAlgorithms(), h.server.traits, l.allowed)) {
			if f := l.overdue(l.signErr); f != nil {
				return f
			}
			return l.proceed()
		}
	case wire.Prompts:
		return l.prompted(ev)
	case wire.PasswordExpired:
		l.password = passwordAnsweredState // it may be right: report neither yes nor no
		return l.handshake.fail(fleet.ReasonPasswordExpired, hint.New("the password has expired, and the server asks for a new one", "log in by hand and change it"))
	}
	return nil
}

// failed handles the rejection of the last request.
func (l *login) failed(ev wire.AuthFailure) *fleet.Error {
	h := l.handshake
	l.answered = true
	h.link.exec.Rejected(len(h.link.client.Output()))
	l.passwordAnswered(ev.Partial)
	l.proven = l.proven || ev.Partial
	if !ev.Partial {
		l.accepted = nil // the password may let us in now
	}
	l.taken = append([]string{}, ev.Methods...) // not nil
	if h.attempt.Verbose != nil {
		verdict := "rejected"
		if ev.Partial {
			verdict = "accepted, and more is wanted"
		}
		h.attempt.Tell("%s; the server takes %.100q", verdict, strings.Join(ev.Methods, ","))
	}
	return l.proceed()
}

// exhausted returns the failure when nothing is left to try. methods are those that
// the server still accepts.
func (l *login) exhausted(methods []string) *fleet.Error {
	f := l.whyExhausted(methods)
	f.Err = sshreason.Taken(f.Err, methods)
	return f
}

func (l *login) whyExhausted(methods []string) *fleet.Error {
	h := l.handshake
	listed := strings.Join(methods, ",")
	listed = listed[:min(len(listed), 200)]
	switch {
	case l.withheld != nil:
		return l.refused()
	case l.proven:
		return h.fail(fleet.ReasonAuthIncomplete, fmt.Errorf(
			"the key was accepted and the server wants more: next=%q", listed))
	case l.signErr != nil && l.password == passwordUnused:
		return sshreason.Refusal(h.attempt, fleet.PhaseAuth, fleet.ReasonAuthFailed, l.signErr)
	case l.password == passwordUnused && l.offered == 0 && !allowsAny(l.methods, methods):
		return h.fail(sshreason.MethodsExcluded(h.attempt.Target, listed))
	case l.offered == 0 && l.password == passwordUnused && (methods == nil || slices.Contains(methods, "publickey")):
		return h.fail(fleet.ReasonNoIdentity, hint.New("there is no key to offer", "name one with --identity, or add one to the agent with ssh-add"))
	case !slices.Contains(methods, "publickey") && l.password == passwordUnused:
		return h.fail(fleet.ReasonAuthFailed, fmt.Errorf("the server takes %q and no public keys", listed))
	}
	with, what := "", "the key (--identity)"
	switch {
	case l.password != passwordUnused:
		with, what = " and not with the password", "the password"
	case h.dialer.opts.Passwords != nil && h.attempt.Target.NoPassword():
		with = ", and ssh_config allows no password here"
	}
	return h.fail(fleet.ReasonAuthFailed, hint.Wrap(
		fmt.Errorf("user %q was not let in with %s%s; the server takes %q", h.attempt.Target.User, sshreason.OurKeys(l.offered), with, listed),
		fmt.Sprintf("check the login name (-l) and %s", what)))
}

// allowsAny reports whether publickey, or anything that the server takes, is allowed.
func allowsAny(allowed, taken []string) bool {
	return slices.Contains(allowed, "publickey") && taken == nil || len(common(allowed, taken)) > 0
}

// tried reports whether the server was sent a key or a password.
func (l *login) tried() bool { return l.offered > 0 || l.password != passwordUnused }

// ignored reports whether the connection ended because of what was sent early: no
// request was answered with a rejection that has another cause. It is false after a
// password was sent: another connection would send it again.
func (l *login) ignored(f *fleet.Error) bool {
	if l.password != passwordUnused || l.abandoned || l.local {
		return false
	}
	switch f.Reason {
	case fleet.ReasonConnClosed, fleet.ReasonConnReset, fleet.ReasonDisconnected, fleet.ReasonProtocolError,
		fleet.ReasonAuthTimeout:
		return true
	case fleet.ReasonAuthFailed:
		kind, ok := errors.AsType[*wire.Error](f)
		// A server to which the command is sent early is known to tolerate that.
		return ok && kind.Kind == wire.KindDisconnect && !l.answered && !l.handshake.plan.earlyExec
	}
	return false
}
