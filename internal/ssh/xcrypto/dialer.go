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

// Options configure a Dialer. They must not be changed after New.
type Options struct {
	// HostKeys verifies every host key. Required.
	HostKeys ssh.HostKeys
	// Identities returns the keys to offer. Required.
	Identities ssh.Identities
	// Passwords answers servers that ask for a password. nil means that none is sent.
	Passwords ssh.Passwords
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
	opts     Options
	config   xssh.Config
	hostKeys []string // host-key algorithms to offer if HostKeys has no preference
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
	// The library does not restrict algorithms that need strict key exchange to servers that
	// support it (CVE-2023-48795), so they are never offered. Nor is SHA-1.
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

// preferred puts Ed25519 first and removes certificates. An RSA key costs an extra round trip
// with sshd before 10.1, and Dropbear 2022.83 without an RSA key crashes if RSA is first.
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
	timeouts := d.opts.Timeouts.For(a)
	connectBy := a.ConnectBy(d.opts.Clock.Now(), timeouts.Connect)
	nc, err := d.opts.Network.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	w := newWire(nc, a, d.opts.Clock)
	w.connectBy = connectBy
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
