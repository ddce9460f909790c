package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// A handshake is one connection until it is authenticated. The command may already
// be on its way then.
type handshake struct {
	dialer    *Dialer
	ctx       context.Context
	attempt   *ssh.Attempt
	plan      plan
	connectBy time.Time     // zero: no limit
	kexTime   time.Duration // what earlier connections of this attempt left of Timeouts.Kex
	kexBy     time.Time     // zero before the connection is made
	deadline  time.Time     // of the current phase; all three are instants of the Clock
	lost      time.Duration // Clock.Suspended when the connection was opened

	link    *link
	server  serverInfo
	hostKey xssh.PublicKey // nil until it is trusted
	login   login
	session *session
	over    bool // authentication has succeeded

	accepted bool // HostKeys.Accepted was called
	proven   bool // the host key is that of the target: the host cache may learn
}

// dial connects and authenticates.
func (h *handshake) dial() *fleet.Error {
	nc, err := h.dialer.opts.Network.Open(h.ctx, h.attempt)
	if err != nil {
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok {
			f = h.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialFailed, err)
		}
		return f
	}
	if f := h.reached(fleet.PhaseDial); f != nil {
		_ = nc.Close() // here, because nothing may be sent
		return f
	}
	if h.attempt.Verbose != nil && h.attempt.Target.Jump() == nil {
		h.attempt.Tell("connected to %.100s", nc.RemoteAddr())
	}
	kept := false
	defer func() {
		h.login.end()
		if kept {
			return
		}
		_ = nc.Close() // also after a panic
		if !h.accepted {
			ssh.ReleaseKey(h.dialer.opts.HostKeys, h.attempt.Target, h.hostKey)
		}
	}()
	stop := context.AfterFunc(h.ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	h.begin(nc)
	f := h.run()
	if f == nil {
		f = h.finish()
	}
	if f == nil && !stop() && !h.link.exec.Queued() { // otherwise Start says what became of it
		f = h.interrupted()
	}
	if f != nil {
		h.link.hangUp()
		h.link.client.Wipe()
		return f
	}
	_ = nc.SetDeadline(time.Time{})
	kept = true
	return nil
}

func (h *handshake) begin(nc net.Conn) {
	h.attempt.Timeline.Enter(fleet.PhaseBanner)
	opts := &h.dialer.opts
	config := h.dialer.shared(&wire.Config{
		Version:    h.dialer.version,
		Kex:        h.plan.kex,
		HostKeys:   h.hostKeyAlgorithms(),
		Ciphers:    h.plan.ciphers,
		MACs:       h.plan.macs,
		EarlyKex:   h.plan.earlyKex,
		StepByStep: h.plan.stepByStep || h.attempt.Until == fleet.PhaseBanner,
		Window:     h.plan.window,
		RekeyBytes: h.attempt.Target.Settings().RekeyBytes,
		RekeyAfter: h.attempt.Target.Settings().RekeyAfter,
		Trace:      opts.Trace,
		Memory:     &h.dialer.flights,
	})
	h.lost = opts.Clock.Suspended()
	h.attempt.Execution.Connected()
	h.link = &link{conn: nc, client: wire.New(config), exec: &h.attempt.Execution}
	h.login = login{handshake: h}
	h.session = newSession(h.attempt, h.link, h.dialer, opts.Timeouts.For(h.attempt))
	h.kexBy = opts.Clock.Now().Add(h.kexTime)
	h.until(h.kexTime)
}

// hostKeyAlgorithms returns the policy's algorithms that the target's settings allow
// and package wire supports, in the policy's order unless the settings fix it; nil
// means all.
func (h *handshake) hostKeyAlgorithms() []string {
	wanted := h.dialer.opts.HostKeys.Algorithms(h.attempt.Target)
	if own := h.attempt.Target.Settings(); own.HostKeys != nil {
		switch {
		case len(wanted) == 0:
			wanted = own.HostKeys
		case own.HostKeysFixed:
			wanted = common(own.HostKeys, wanted)
		default:
			wanted = common(wanted, own.HostKeys)
		}
		if wanted == nil {
			return []string{}
		}
	}
	offer := common(wanted, h.dialer.hostKeys)
	if offer == nil && len(wanted) > 0 {
		return []string{} // empty, not nil: nil would offer all
	}
	return offer
}

// until sets the deadline of the phase that begins now. If ctx has ended, the past
// deadline remains set.
func (h *handshake) until(d time.Duration) { h.by(h.dialer.opts.Clock.Now().Add(d)) }

// by is until an instant.
func (h *handshake) by(t time.Time) {
	h.deadline = t
	if !h.connectBy.IsZero() && h.connectBy.Before(h.deadline) {
		h.deadline = h.connectBy
	}
	h.arm()
}

func (h *handshake) arm() {
	_ = h.link.conn.SetDeadline(h.dialer.opts.Clock.Deadline(h.deadline))
	if h.ctx.Err() != nil {
		_ = h.link.conn.SetDeadline(time.Unix(1, 0))
	}
}

// early reports whether err is a deadline that passed only because this process was
// stopped, and sets it again.
func (h *handshake) early(err error) bool {
	if h.ctx.Err() != nil || !sshreason.TimedOut(err) || !h.dialer.opts.Clock.Now().Before(h.deadline) {
		return false
	}
	h.arm()
	return true
}

// run reads and writes until authentication is over. It goes on reading after a
// failed write: what the server sent before tells the cause.
func (h *handshake) run() *fleet.Error {
	var r handshakeReader
	r.dialer, r.conn = h.dialer, h.link.conn
	defer r.release()
	var writeErr error
	for {
		if writeErr == nil {
			if writeErr = h.link.flush(); h.early(writeErr) {
				writeErr = nil
				continue
			}
		}
		p, err := r.read()
		if len(p) > 0 {
			if h.server.traits.nagle {
				if raw := descriptor(h.link.conn); raw != nil {
					quickAck(raw)
				}
			}
			h.link.client.Receive(p)
			if f := h.pull(); f != nil {
				return f
			}
			if h.over {
				h.link.client.Keep()
				return nil
			}
			r.release() // client has no bytes of it any more
		}
		if err != nil && !h.early(err) {
			return h.ended(sshreason.Ended(writeErr, err))
		}
	}
}

// pull processes events until more bytes are needed.
func (h *handshake) pull() *fleet.Error {
	for !h.over {
		ev, err := h.link.client.Next()
		if err != nil {
			return h.broken(err)
		}
		if ev == nil {
			return nil
		}
		if f := h.take(ev); f != nil {
			return f
		}
	}
	return nil
}

func (h *handshake) take(ev wire.Event) *fleet.Error {
	switch ev := ev.(type) {
	case wire.VersionReceived:
		if f := h.reached(fleet.PhaseBanner); f != nil {
			_ = h.link.conn.Close() // before hangUp sends what is queued
			return f
		}
		h.attempt.Timeline.Enter(fleet.PhaseKex)
		h.server.identification = ev.Identification
		h.server.traits = h.plan.applyTraits(ev.Identification)
		if h.attempt.Verbose != nil {
			h.attempt.Tell("server %.100q", ev.Identification)
		}
		if !h.plan.stepByStep {
			// A server that then says nothing may have discarded what came before its version
			// line: the other half is for a connection that waits for the line.
			h.until(h.kexBy.Sub(h.dialer.opts.Clock.Now()) / 2)
		}
		return sshreason.Unfit(h.attempt, ev.Identification)
	case wire.Negotiated:
		if h.deadline.Before(h.kexBy) {
			h.by(h.kexBy)
		}
		h.server.kex, h.server.hostKeys, h.server.strict = ev.ServerKex, ev.ServerHostKeys, ev.Strict
		// Without strict key exchange an attacker who injects plaintext before our
		// NEWKEYS can have the server itself answer UNIMPLEMENTED, encrypted, with the
		// number that the early CHANNEL_OPEN will have: a proof that is none.
		h.plan.earlyExec = h.plan.earlyExec && ev.Strict
		h.tellNegotiated(&ev)
		h.server.inOrder = ev.Strict || strings.HasSuffix(ev.CipherIn, "-gcm@openssh.com")
	case wire.HostKey:
		if f := h.reached(fleet.PhaseKex); f != nil {
			return f
		}
		return h.checkHostKey(ev)
	case wire.ChannelIgnored:
		h.session.ignored()
	default:
		return h.login.take(ev)
	}
	return nil
}

// checkHostKey checks the host key, and only then allows sending what depends on
// the keys.
func (h *handshake) checkHostKey(ev wire.HostKey) *fleet.Error {
	a, key := h.attempt, ev.Key
	a.Timeline.Enter(fleet.PhaseHostkey)
	if err := hostkeys.Weak(key); err != nil { // under every policy
		return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonHostkeyWeak, err)
	}
	if err := h.dialer.opts.HostKeys.Check(a.Target, h.link.conn.RemoteAddr(), key); err != nil {
		return sshreason.Refusal(a, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err)
	}
	a.TellHostKey(h.dialer.opts.HostKeys, key)
	a.Identified(h.dialer.opts.HostKeys, key)
	h.hostKey = key
	if f := h.reached(fleet.PhaseHostkey); f != nil {
		return f
	}
	switch forward, f := a.MayForwardAgent(h.dialer.opts.HostKeys, key); {
	case f != nil:
		return f
	case forward && h.dialer.opts.Agents != nil:
		h.session.forward(&ssh.AgentBinding{HostKey: key, Signature: ev.Signature, SessionID: ev.SessionID})
	case a.WantsAgent():
		h.session.flags |= fleet.FlagNoAgent
	}
	h.link.client.Trust()
	a.Timeline.Enter(fleet.PhaseAuth)
	h.until(h.dialer.opts.Timeouts.Auth)
	return h.login.begin()
}

// reached ends an attempt whose last phase was p.
func (h *handshake) reached(p fleet.Phase) *fleet.Error {
	if h.attempt.Until != p {
		return nil
	}
	return h.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonNone, ssh.ErrUntil)
}

// finish reports the accepted host key and updates the host cache.
func (h *handshake) finish() *fleet.Error {
	switch err := h.dialer.opts.HostKeys.Accepted(h.login.ctx, h.attempt.Target, h.hostKey); {
	case err != nil && h.ctx.Err() != nil:
		return h.interrupted()
	case err != nil:
		return sshreason.Refusal(h.attempt, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err)
	}
	h.accepted = true
	// An insecure policy lets anybody answer, who must not decide how the target is
	// connected to later.
	h.proven = h.dialer.opts.Memory != nil &&
		ssh.Proven(h.dialer.opts.HostKeys, h.attempt.Target, h.hostKey)
	if h.proven {
		h.dialer.learn(h.attempt.Target, &h.plan, &h.server, h.login.accepted)
	}
	return nil
}

func (h *handshake) interrupted() *fleet.Error {
	return sshreason.Interrupted(h.ctx, h.attempt)
}

// fail returns a failure in the current phase, with the outcome from Execution.
func (h *handshake) fail(r fleet.Reason, err error) *fleet.Error {
	return h.attempt.Fail(h.attempt.Execution.Failed(), r, err)
}

// ended classifies the end of the connection.
func (h *handshake) ended(err error) *fleet.Error {
	if h.ctx.Err() != nil {
		return h.interrupted()
	}
	phase := h.attempt.Timeline.Phase()
	if phase == fleet.PhaseBanner {
		if r, named, ok := sshreason.Greeting(h.link.client.Greeting()); ok {
			return h.fail(r, named)
		}
	}
	if sshreason.TimedOut(err) {
		return h.fail(sshreason.Deadline(phase), h.late())
	}
	if h.login.abandoned { // some servers end the connection then
		return h.login.refused()
	}
	r, named, ok := sshreason.Link(err)
	if !ok {
		r = fleet.ReasonConnClosed
	}
	return h.fail(r, sshreason.Stopped(named, h.dialer.opts.Clock.Suspended()-h.lost))
}

// late returns the error for the current phase's deadline.
func (h *handshake) late() error {
	byConnect := !h.connectBy.IsZero() && !h.deadline.Before(h.connectBy)
	return sshreason.TimeoutError(h.attempt.Timeline.Phase(), h.dialer.opts.Timeouts.For(h.attempt), byConnect)
}

// broken classifies a protocol error.
func (h *handshake) broken(err error) *fleet.Error {
	reason := reasonOf(err)
	phase := h.attempt.Timeline.Phase()
	if reason == fleet.ReasonDisconnected && h.server.inOrder && h.link.client.Secured() {
		h.link.exec.Refused() // it comes before USERAUTH_SUCCESS, and nothing follows it
	}
	switch {
	case reason == fleet.ReasonDisconnected && h.login.abandoned:
		return h.login.refused()
	case reason == fleet.ReasonHostkeyChanged, reason == fleet.ReasonHostkeyFailed:
		h.attempt.Timeline.Enter(fleet.PhaseHostkey)
	case reason == fleet.ReasonDisconnected && phase == fleet.PhaseAuth && h.login.tried():
		reason = fleet.ReasonAuthFailed // "Too many authentication failures" arrives this way
		h.login.passwordAnswered(false)
		err = sshreason.TooManyKeys(err, h.login.offered)
	}
	return h.fail(reason, err)
}

// reasonOf returns the reason for an error of package wire.
func reasonOf(err error) fleet.Reason {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return fleet.ReasonInternal
	}
	switch e.Kind {
	case wire.KindNoCommonAlgorithm:
		return fleet.ReasonNoCommonAlgorithm
	case wire.KindHostKey:
		return fleet.ReasonHostkeyFailed
	case wire.KindHostKeyChanged:
		return fleet.ReasonHostkeyChanged
	case wire.KindAbuse:
		return fleet.ReasonProtocolAbuse
	case wire.KindDisconnect:
		return fleet.ReasonDisconnected
	default:
		return fleet.ReasonProtocolError
	}
}
