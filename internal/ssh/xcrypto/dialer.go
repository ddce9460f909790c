package xcrypto

import (
	"context"
	"errors"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/wire"
)

// Options says how to connect. They are not changed after New.
type Options struct {
	// HostKeys judges every host key. Required.
	HostKeys ssh.HostKeys
	// Identities gives the keys to offer. Required.
	Identities ssh.Identities
	// Passwords answers servers that ask for one. nil means that none is sent.
	Passwords ssh.Passwords
	// Timeouts are the phases' deadlines; zero values are the defaults.
	Timeouts ssh.Timeouts
	// Clock is what they are kept by. nil means the time as it passes.
	Clock *clock.Clock
	// Network opens the connections. nil means TCP.
	Network ssh.Network
	// Version is our identification after "SSH-2.0-" (RFC 4253 §4.2), without
	// spaces or minus signs. "" means "shoal".
	Version string
}

// Validate tells what is missing or out of range.
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
	opts     Options
	config   xssh.Config
	hostKeys []string // host-key algorithms where the policy has no preference
}

// New checks opts and gives a Dialer.
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
	// The library uses what needs strict key exchange also with servers that have
	// none (CVE-2023-48795), so that it is not offered to any. Nor is SHA-1.
	modern := xssh.SupportedAlgorithms()
	return &Dialer{
		opts:     opts,
		hostKeys: preferred(modern.HostKeys),
		config: xssh.Config{
			KeyExchanges: modern.KeyExchanges,
			Ciphers:      wire.WithoutStrict(modern.Ciphers),
			MACs:         slices.DeleteFunc(wire.WithoutStrict(modern.MACs), func(m string) bool { return m == xssh.HMACSHA1 }),
		},
	}, nil
}

// preferred puts Ed25519 first and leaves certificates out. An RSA key costs a
// round trip more on sshd before 10.1, and Dropbear 2022.83 with no RSA key dies
// when it is the first that is asked for.
func preferred(algorithms []string) []string {
	isEd25519 := func(a string) bool { return a == xssh.KeyAlgoED25519 }
	isOther := func(a string) bool { return isEd25519(a) || strings.Contains(a, "-cert-") }
	var first []string
	if slices.ContainsFunc(algorithms, isEd25519) {
		first = []string{xssh.KeyAlgoED25519}
	}
	return append(first, slices.DeleteFunc(slices.Clone(algorithms), isOther)...)
}

// Dial implements ssh.Dialer.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	begun := d.opts.Clock.Now()
	nc, err := d.opts.Network.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	w := newWire(nc, a, d.opts.Clock)
	timeouts := d.opts.Timeouts.For(a)
	if limit := timeouts.Connect; limit > 0 {
		w.connectBy = begun.Add(limit)
	}
	stop := context.AfterFunc(ctx, w.abandon)
	defer stop()

	a.Timeline.Enter(fleet.PhaseBanner)
	w.until(d.opts.Timeouts.Kex)
	h := &handshake{dialer: d, ctx: ctx, attempt: a, wire: w}
	kept := false
	defer func() {
		h.end()
		if !kept { // also after a panic
			_ = w.Close()
		}
	}()
	sc, chans, reqs, err := xssh.NewClientConn(w, a.Target.Address(), h.config())
	if err != nil {
		_ = nc.Close()
		ssh.ReleaseKey(d.opts.HostKeys, a.Target, w.pinnedKey())
		return nil, h.classify(err)
	}
	h.answered(true)
	w.authenticated()
	c := newConn(a, w, sc, timeouts)
	go c.refuseRequests(reqs)
	go c.refuseChannels(chans)
	if err := d.opts.HostKeys.Accepted(a.Target, w.pinnedKey()); err != nil {
		_ = c.Close()
		ssh.ReleaseKey(d.opts.HostKeys, a.Target, w.pinnedKey())
		return nil, sshreason.Refusal(a, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err)
	}
	if !stop() {
		_ = c.Close()
		return nil, sshreason.Interrupted(ctx, a)
	}
	kept = true
	return c, nil
}
