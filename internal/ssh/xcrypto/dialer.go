package xcrypto

import (
	"context"
	"errors"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/algorithms"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/tcp"
)

// Options configure a Dialer. They must not be changed after New.
type Options struct {
	// HostKeys verifies every host key. Required.
	HostKeys ssh.HostKeys
	// Identities returns the keys to offer. Required.
	Identities ssh.Identities
	// Passwords answers servers that ask for a password. nil means that none is sent.
	Passwords ssh.Passwords
	// Agents passes on what hosts ask the agents that are forwarded to them. nil forwards none.
	Agents ssh.Agents
	// Timeouts are the phases' deadlines; zero values are the defaults.
	Timeouts ssh.Timeouts
	// Clock measures the timeouts. nil means real time.
	Clock *clock.Clock
	// Network opens the connections. nil means TCP.
	Network ssh.Network
	// Version is our identification after "SSH-2.0-" (RFC 4253 §4.2), without
	// spaces or minus signs. "" means "shoal".
	Version string
}

// Validate returns an error if a field is missing or out of range.
func (o Options) Validate() error {
	if o.HostKeys == nil {
		return errors.New("no host-key policy: Options.HostKeys is nil")
	}
	if o.Identities == nil {
		return errors.New("no identities: Options.Identities is nil")
	}
	return o.Timeouts.Validate()
}

// A Dialer connects with golang.org/x/crypto/ssh. It implements
// ssh.Dialer.
type Dialer struct {
	opts Options
}

// New validates opts and returns a Dialer.
func New(opts Options) (*Dialer, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts.Timeouts = opts.Timeouts.WithDefaults()
	if opts.Version == "" {
		opts.Version = "shoal"
	}
	if opts.Network == nil {
		opts.Network = tcp.Dialer{Timeouts: opts.Timeouts, Clock: opts.Clock}
	}
	return &Dialer{opts: opts}, nil
}

// Dial implements ssh.Dialer.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	config, f := d.config(a)
	if f != nil {
		return nil, f
	}
	a.Tell("connecting with golang.org/x/crypto/ssh")
	connectBy := a.ConnectBy(d.opts.Clock.Now(), d.opts.Timeouts.For(a).Connect)
	nc, err := d.opts.Network.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	if a.Verbose != nil && a.Target.Jump() == nil {
		a.Tell("connected to %.100s", nc.RemoteAddr())
	}
	w := newWire(nc, a, d.opts.Clock)
	w.connectBy = connectBy
	stop := context.AfterFunc(ctx, w.abandon)
	defer stop()

	a.Timeline.Enter(fleet.PhaseBanner)
	w.until(d.opts.Timeouts.Kex)
	h := &handshake{dialer: d, ctx: ctx, attempt: a, wire: w}
	accepted, kept := false, false
	defer func() {
		h.end()
		if kept {
			return
		}
		_ = w.Close() // also after a panic
		if !accepted {
			ssh.ReleaseKey(d.opts.HostKeys, a.Target, w.pinnedKey())
		}
	}()
	sc, chans, reqs, err := xssh.NewClientConn(w, a.Target.Address(), h.complete(config))
	if err != nil {
		_ = nc.Close()
		return nil, h.classify(err)
	}
	h.answered(true)
	w.authenticated()
	c := newConn(w, sc, &d.opts.Timeouts)
	c.agent, c.noAgent = h.agent, h.agent == nil && a.WantsAgent()
	if a.Verbose != nil {
		n := c.Algorithms()
		a.Tell("server %.100q", sc.ServerVersion())
		a.Tell("key exchange %.60s, host key %.60s, cipher %.60s", n.KeyExchange, n.HostKey, n.Write.Cipher)
		a.Tell("user %q is let in", a.Target.User)
	}
	if h.sha1 || algorithms.Weak(c.Algorithms()) {
		c.flags = fleet.FlagLegacy
	}
	go c.refuseRequests(reqs)
	go c.refuseChannels(chans)
	if err := d.opts.HostKeys.Accepted(h.login, a.Target, w.pinnedKey()); err != nil {
		_ = c.Close()
		if ctx.Err() != nil {
			return nil, sshreason.Interrupted(ctx, a)
		}
		return nil, sshreason.Refusal(a, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err)
	}
	accepted = true
	if !stop() {
		_ = c.Close()
		return nil, sshreason.Interrupted(ctx, a)
	}
	kept = true
	return c, nil
}
