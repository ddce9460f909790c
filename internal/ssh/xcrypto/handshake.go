package xcrypto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/sshreason"
)

// A handshake is one connection until it is authenticated. The library calls its methods. Each
// records its error before returning, because the library's errors do not always wrap the
// cause.
type handshake struct {
	dialer  *Dialer
	ctx     context.Context
	attempt *ssh.Attempt
	wire    *transport

	offered int           // number of keys given to the library
	signErr error         // the last signing failure
	rest    []xssh.Signer // the keys after the one that failed to sign: the library skipped them
	secret  secret
	sha1    bool      // an RSA key made a SHA-1 signature
	rekeys  int       // key exchanges after the first
	begun   time.Time // when the first was over
	agent   *forwarding

	// login bounds every wait on our side: it ends at the deadline of authentication, and with
	// Dial.
	login  context.Context
	cancel context.CancelFunc
}

// maxRekeys is how many key exchanges there may be beyond one per MiB, or the target's RekeyBytes,
// and one per second.
const maxRekeys = 128

// end releases what the handshake holds.
func (h *handshake) end() {
	if h.cancel != nil {
		h.cancel()
	}
}

// complete sets the functions that the library calls.
func (h *handshake) complete(config *xssh.ClientConfig) *xssh.ClientConfig {
	config.AuthCallback, config.HostKeyCallback = h.nextMethod, h.judge
	return config
}

// judge verifies the host key. The library calls it after verifying the key's signature, in
// every key exchange.
func (h *handshake) judge(_ string, remote net.Addr, key xssh.PublicKey) error {
	if h.wire.pinnedKey() != nil { // a rekey, possibly during authentication: keep that deadline
		if !h.wire.pin(key) {
			return h.wire.blame(fleet.PhaseHostkey, fleet.ReasonHostkeyChanged,
				errors.New("the server brought another host key in a later key exchange"))
		}
		if h.rekeyed() {
			return h.wire.blame(h.attempt.Timeline.Phase(), fleet.ReasonProtocolAbuse, errors.New("the server exchanges keys over and over"))
		}
		return nil
	}
	h.attempt.Timeline.Enter(fleet.PhaseHostkey)
	if err := hostkeys.Weak(key); err != nil { // under every policy
		return h.wire.blame(fleet.PhaseHostkey, fleet.ReasonHostkeyWeak, err)
	}
	if err := h.dialer.opts.HostKeys.Check(h.attempt.Target, remote, key); err != nil {
		return h.wire.raise(sshreason.Refusal(h.attempt, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err))
	}
	h.attempt.TellHostKey(h.dialer.opts.HostKeys, key)
	h.attempt.Identified(h.dialer.opts.HostKeys, key)
	h.wire.pin(key) // from here on the end of the handshake releases it
	switch forward, f := h.attempt.MayForwardAgent(h.dialer.opts.HostKeys, key); {
	case f != nil:
		return h.wire.raise(f)
	case forward && h.dialer.opts.Agents != nil:
		h.agent = newForwarding(h.attempt, h.dialer.opts.Agents)
	}
	h.begun = time.Now()
	h.attempt.Timeline.Enter(fleet.PhaseAuth)
	h.wire.until(h.dialer.opts.Timeouts.Auth)
	by := h.wire.deadline()
	byConnect := !h.wire.connectBy.IsZero() && !by.Before(h.wire.connectBy)
	late := sshreason.TimeoutError(fleet.PhaseAuth, h.dialer.opts.Timeouts.For(h.attempt), byConnect)
	h.login, h.cancel = sshreason.LoginContext(h.ctx, h.dialer.opts.Clock, by, late)
	return nil
}

// rekeyed counts a key exchange, ours too, and reports whether there are too many.
func (h *handshake) rekeyed() bool {
	every := int64(1 << 20)
	if own := h.attempt.Target.Settings().RekeyBytes; own > 0 && own < uint64(every) {
		every = int64(own)
	}
	h.rekeys++
	return h.rekeys > maxRekeys+int(h.wire.transferred()/every)+int(time.Since(h.begun).Seconds())
}

// signers is called when the server accepts public keys.
func (h *handshake) signers() ([]xssh.Signer, error) {
	all, err := h.dialer.opts.Identities.Signers(h.login, h.attempt.Target)
	if err != nil && h.dialer.opts.Passwords != nil && h.login.Err() == nil {
		h.signErr = err
		return nil, nil // the password is still to be tried
	}
	if err != nil {
		return nil, h.refuse(fleet.ReasonAgentUnavailable, err)
	}
	usable := make([]xssh.Signer, 0, len(all))
	for _, s := range all {
		if s = restrict(s, h.attempt.Target.Settings()); s != nil {
			usable = append(usable, s)
		}
	}
	h.offered = len(usable)
	if h.attempt.Verbose != nil {
		for _, s := range usable {
			h.attempt.Tell("offering the key %s", ssh.KeyName(s))
		}
	}
	watched := make([]xssh.Signer, len(usable))
	for i, s := range usable {
		watched[i] = watchSigner(s, func(sig *xssh.Signature, err error) {
			if err != nil {
				h.notSigned(err, watched[i+1:])
				return
			}
			h.attempt.LoggedIn(s.PublicKey()) // unless it asks for more, and then the last one counts
			if sig.Format == xssh.KeyAlgoRSA {
				h.sha1 = true
			}
			if h.attempt.Verbose != nil {
				h.attempt.Tell("the server takes the key %s, signed as %.40q", ssh.KeyName(s), sig.Format)
			}
		})
	}
	return watched, nil
}

// notSigned records a signing failure, after which the library skips the remaining keys.
func (h *handshake) notSigned(err error, rest []xssh.Signer) {
	h.signErr, h.rest = err, rest
	if h.login.Err() != nil {
		_ = h.refuse(fleet.ReasonAuthFailed, err)
	}
}

// refuse ends authentication with our own error, or with that of the deadline if it has passed.
func (h *handshake) refuse(otherwise fleet.Reason, err error) *fleet.Error {
	if h.login.Err() != nil {
		otherwise = fleet.ReasonAuthTimeout
	}
	return h.wire.raise(sshreason.Refusal(h.attempt, fleet.PhaseAuth, otherwise, err))
}

// nextMethod is called after each failed method. It ends authentication with a cause where the
// library would give up without one.
func (h *handshake) nextMethod(c *xssh.ClientAuthContext) (xssh.AuthMethod, error) {
	if err := h.wire.ended(); err != nil {
		if h.secret.abandoned && !sshreason.TimedOut(err) {
			return nil, h.refuse(fleet.ReasonAuthFailed, h.secret.withheld)
		}
		return nil, err
	}
	if f := h.wire.raised(); f != nil {
		return nil, f
	}
	fail := func(r fleet.Reason, err error) (xssh.AuthMethod, error) {
		return nil, h.wire.blame(fleet.PhaseAuth, r, sshreason.Taken(err, c.AllowedMethods))
	}
	h.answered(slices.Contains(c.PartialSuccessMethods, h.secret.method))
	if !slices.Contains(c.PartialSuccessMethods, "publickey") { // the password may let us in now
		h.attempt.LoggedIn(nil)
		h.sha1 = false
	}
	tried := slices.Contains(c.TriedMethods, "publickey")
	allowed := h.attempt.Target.Methods()
	common := false
	for _, method := range allowed {
		if !slices.Contains(c.AllowedMethods, method) {
			continue
		}
		common = true
		rest := h.rest
		switch {
		case method != "publickey":
			if m, err := h.password(method); m != nil || err != nil {
				return m, err
			}
		case !tried && !slices.Contains(c.PartialSuccessMethods, "publickey"):
			return xssh.PublicKeysCallback(h.signers), nil
		case len(rest) > 0:
			h.rest = nil
			return xssh.PublicKeys(rest...), nil
		}
	}
	switch {
	case h.secret.withheld != nil:
		return nil, h.refuse(fleet.ReasonAuthFailed, h.secret.withheld)
	case len(c.PartialSuccessMethods) > 0:
		return fail(fleet.ReasonAuthIncomplete, fmt.Errorf(
			"the key was accepted and the server wants more: next=%q", methods(c.AllowedMethods)))
	case !tried && !common && len(allowed) < 3:
		return fail(sshreason.MethodsExcluded(h.attempt.Target, methods(c.AllowedMethods)))
	case !tried && h.secret.method == "" && !slices.Contains(allowed, "publickey"):
		return fail(sshreason.MethodsExcluded(h.attempt.Target, ""))
	case h.secret.spent:
		return fail(fleet.ReasonAuthFailed, hint.Wrap(
			fmt.Errorf("user %q was not let in with %s and not with the password; the server takes %q", h.attempt.Target.User, sshreason.OurKeys(h.offered), methods(c.AllowedMethods)),
			"check the login name (-l) and the password"))
	case tried && h.signErr != nil:
		return nil, h.refuse(fleet.ReasonAuthFailed, h.signErr)
	case tried && h.offered == 0:
		return fail(fleet.ReasonNoIdentity, hint.New("there is no key to offer", "name one with --identity, or add one to the agent with ssh-add"))
	case tried:
		with := ""
		if h.dialer.opts.Passwords != nil && h.attempt.Target.NoPassword() {
			with = ", and ssh_config allows no password here"
		}
		return fail(fleet.ReasonAuthFailed, hint.Wrap(
			fmt.Errorf("user %q was not let in with %s%s; the server takes %q", h.attempt.Target.User, sshreason.OurKeys(h.offered), with, methods(c.AllowedMethods)),
			"check the login name (-l) and the key (--identity)"))
	}
	return fail(fleet.ReasonAuthFailed, fmt.Errorf("the server takes %q and no public keys", methods(c.AllowedMethods)))
}

// methods joins the method names that the server sent, bounded.
func methods(names []string) string {
	joined := strings.Join(names, ",")
	return joined[:min(len(joined), 200)]
}

// classify returns the handshake's error with phase and reason.
func (h *handshake) classify(err error) *fleet.Error {
	a, w := h.attempt, h.wire
	if h.ctx.Err() != nil {
		return sshreason.Interrupted(h.ctx, a)
	}
	if f := w.raised(); f != nil {
		return f
	}
	phase := a.Timeline.Phase()
	reason, named := classify(err, w.ended())
	if phase == fleet.PhaseBanner {
		if r, err, ok := sshreason.Greeting(w.greeting); ok {
			return a.Fail(fleet.OutcomeNeverStarted, r, err)
		}
	}
	switch {
	case reason == reasonDeadline:
		passed := !w.connectBy.IsZero() && !w.clock.Now().Before(w.connectBy)
		reason, named = sshreason.Deadline(phase), sshreason.TimeoutError(phase, h.dialer.opts.Timeouts.For(h.attempt), passed)
	case reason == fleet.ReasonDisconnected && phase == fleet.PhaseAuth && (h.offered > 0 || h.secret.spent):
		reason = fleet.ReasonAuthFailed // servers report "Too many authentication failures" this way
		h.answered(false)
		named = sshreason.TooManyKeys(named, h.offered)
	}
	return a.Fail(fleet.OutcomeNeverStarted, reason, w.stopped(named))
}
