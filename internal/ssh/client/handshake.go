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

// A handshake is one connection on its way to being authenticated, and with
// luck beyond: the command may be on its way already.
type handshake struct {
	dialer    *Dialer
	ctx       context.Context
	attempt   *ssh.Attempt
	plan      plan
	connectBy time.Time     // zero: no such limit
	deadline  time.Time     // of the present phase; both are instants of the Clock
	lost      time.Duration // the Clock's, when the connection was open

	link    *link
	server  serverInfo
	hostKey xssh.PublicKey // once it is trusted
	login   login
	session *session
	over    bool // authentication has succeeded

	accepted bool // and the host key's judge knows
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
	kept := false
	defer func() {
		h.login.end()
		if !kept { // also after a panic
			_ = nc.Close()
		}
	}()
	stop := context.AfterFunc(h.ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	h.begin(nc)
	f := h.run()
	if f == nil {
		f = h.finish()
	}
	if f == nil && !stop() {
		f = h.interrupted()
	}
	if f != nil {
		h.link.hangUp()
		h.link.client.Wipe()
		if !h.accepted {
			ssh.ReleaseKey(h.dialer.opts.HostKeys, h.attempt.Target, h.hostKey)
		}
		return f
	}
	_ = nc.SetDeadline(time.Time{})
	kept = true
	return nil
}

func (h *handshake) begin(nc net.Conn) {
	h.attempt.Timeline.Enter(fleet.PhaseBanner)
	opts := &h.dialer.opts
	config := wire.Config{
		Version:    h.dialer.version,
		Kex:        h.plan.kex,
		HostKeys:   h.hostKeyAlgorithms(),
		Ciphers:    h.plan.ciphers,
		MACs:       h.plan.macs,
		EarlyKex:   h.plan.earlyKex,
		StepByStep: h.plan.stepByStep,
		Window:     h.plan.window,
		Trace:      opts.Trace,
	}
	if r := h.attempt.Target.Route; r != nil {
		config.RekeyBytes = r.RekeyBytes
	}
	h.lost = opts.Clock.Suspended()
	h.attempt.Execution.Connected()
	h.link = &link{conn: nc, client: wire.New(config), exec: &h.attempt.Execution}
	h.login = login{handshake: h}
	h.session = newSession(h.attempt, h.link, opts.Timeouts.For(h.attempt), opts.Clock)
	h.until(opts.Timeouts.Kex)
}

// hostKeyAlgorithms are those of the policy's that the target's route allows and
// sshwire has, in the order of the policy unless the route fixes it; nil for all.
func (h *handshake) hostKeyAlgorithms() []string {
	wanted := h.dialer.opts.HostKeys.Algorithms(h.attempt.Target)
	if r := h.attempt.Target.Route; r != nil && r.HostKeys != nil {
		switch {
		case len(wanted) == 0:
			wanted = r.HostKeys
		case r.HostKeysFixed:
			wanted = common(r.HostKeys, wanted)
		default:
			wanted = common(wanted, r.HostKeys)
		}
		if wanted == nil {
			return []string{}
		}
	}
	offer := common(wanted, h.dialer.hostKeys)
	if offer == nil && len(wanted) > 0 {
		return []string{} // nothing, not everything
	}
	return h.dialer.shared(offer)
}

// until sets the deadline of the phase that begins now. Ending ctx has set one
// that has passed, which stays.
func (h *handshake) until(d time.Duration) {
	h.deadline = h.dialer.opts.Clock.Now().Add(d)
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

// early says whether err is a deadline that passed only because this process was
// stopped, and sets it anew.
func (h *handshake) early(err error) bool {
	if h.ctx.Err() != nil || !sshreason.TimedOut(err) || !h.dialer.opts.Clock.Now().Before(h.deadline) {
		return false
	}
	h.arm()
	return true
}

// run reads and writes until authentication is over. A write that fails does not
// end it: what the server said before it left tells why.
func (h *handshake) run() *fleet.Error {
	buf := h.dialer.small.Get().(*[]byte)
	defer h.dialer.small.Put(buf)
	raw := descriptor(h.link.conn)
	var writeErr error
	for {
		if writeErr == nil {
			if writeErr = h.link.flush(); h.early(writeErr) {
				writeErr = nil
				continue
			}
		}
		n, err := h.link.conn.Read(*buf)
		if n > 0 {
			if raw != nil && h.server.traits.nagle {
				quickAck(raw)
			}
			h.link.client.Receive((*buf)[:n])
			if f := h.pull(); f != nil {
				return f
			}
			if h.over {
				h.link.client.Keep()
				return nil
			}
		}
		if err != nil && !h.early(err) {
			return h.ended(err)
		}
	}
}

// pull takes events until more bytes are needed.
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
		h.attempt.Timeline.Enter(fleet.PhaseKex)
		h.server.identification = ev.Identification
		h.server.traits = h.plan.applyTraits(ev.Identification)
	case wire.Negotiated:
		h.server.kex, h.server.hostKeys, h.server.strict = ev.ServerKex, ev.ServerHostKeys, ev.Strict
		h.server.inOrder = ev.Strict || strings.HasSuffix(ev.CipherIn, "-gcm@openssh.com")
	case wire.HostKey:
		return h.checkHostKey(ev.Key)
	case wire.ChannelIgnored:
		h.session.ignored()
	default:
		return h.login.take(ev)
	}
	return nil
}

// checkHostKey has the host key judged, and only then lets anything leave that depends
// on the keys.
func (h *handshake) checkHostKey(key xssh.PublicKey) *fleet.Error {
	a := h.attempt
	a.Timeline.Enter(fleet.PhaseHostkey)
	if err := hostkeys.Weak(key); err != nil { // whatever the policy says
		return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonHostkeyWeak, err)
	}
	if err := h.dialer.opts.HostKeys.Check(a.Target, h.link.conn.RemoteAddr(), key); err != nil {
		return sshreason.Refusal(a, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err)
	}
	h.hostKey = key
	h.link.client.Trust()
	a.Timeline.Enter(fleet.PhaseAuth)
	h.until(h.dialer.opts.Timeouts.Auth)
	return h.login.begin()
}

// finish is what follows authentication.
func (h *handshake) finish() *fleet.Error {
	if err := h.dialer.opts.HostKeys.Accepted(h.attempt.Target, h.hostKey); err != nil {
		return sshreason.Refusal(h.attempt, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err)
	}
	h.accepted = true
	h.dialer.learn(h.attempt.Target, &h.plan, &h.server, h.login.accepted)
	return nil
}

func (h *handshake) interrupted() *fleet.Error {
	return sshreason.Interrupted(h.ctx, h.attempt)
}

// fail gives a failure in the present phase the outcome that the command's
// bytes decide.
func (h *handshake) fail(r fleet.Reason, err error) *fleet.Error {
	return h.attempt.Fail(h.attempt.Execution.Failed(), r, err)
}

// ended names the end of the connection.
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
	r, named, ok := sshreason.Link(err)
	if !ok {
		r = fleet.ReasonConnClosed
	}
	return h.fail(r, sshreason.Stopped(named, h.dialer.opts.Clock.Suspended()-h.lost))
}

// late says which deadline ends the present phase.
func (h *handshake) late() error {
	byConnect := !h.connectBy.IsZero() && !h.deadline.Before(h.connectBy)
	return sshreason.TimeoutError(h.attempt.Timeline.Phase(), h.dialer.opts.Timeouts.For(h.attempt), byConnect)
}

// broken names an error of the protocol.
func (h *handshake) broken(err error) *fleet.Error {
	reason := reasonOf(err)
	phase := h.attempt.Timeline.Phase()
	if reason == fleet.ReasonDisconnected && h.server.inOrder && h.link.client.Secured() {
		h.link.exec.Refused() // it has not let us in, and nothing comes behind this
	}
	switch {
	case reason == fleet.ReasonHostkeyChanged, reason == fleet.ReasonHostkeyFailed:
		h.attempt.Timeline.Enter(fleet.PhaseHostkey)
	case reason == fleet.ReasonDisconnected && phase == fleet.PhaseAuth && h.login.tried():
		reason = fleet.ReasonAuthFailed // "Too many authentication failures" arrives this way
		h.login.passwordAnswered(false)
	}
	return h.fail(reason, err)
}

// reasonOf is the reason for an sshwire error.
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
