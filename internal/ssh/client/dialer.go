package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/wire"
)

// A Dialer connects with package internal/ssh/wire. It implements ssh.Dialer.
type Dialer struct {
	opts     Options
	version  string   // our identification line
	kex      []string // best first
	hostKeys []string // every host-key algorithm that sshwire has
	parking  *eventDrivers
	buffers  sync.Pool // of *[]byte, for connections that read
	small    sync.Pool // of *[]byte, for handshakes
	lists    sync.Map  // of []string by their names joined: see shared

	fingerprints struct {
		sync.Mutex
		of map[string]string // by a key in wire form
	}
}

// shared gives one list for equal ones, because a connection that waits holds
// its own. There are few: what is known of a host orders some six names.
func (d *Dialer) shared(list []string) []string {
	if len(list) == 0 {
		return list
	}
	one, _ := d.lists.LoadOrStore(strings.Join(list, ","), list)
	return one.([]string)
}

// New checks opts and gives a Dialer.
func New(opts Options) (*Dialer, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	d := &Dialer{opts: opts.withDefaults(), kex: wire.KexAlgorithms(), hostKeys: wire.AllHostKeyAlgorithms()}
	d.version = "SSH-2.0-" + d.opts.Version
	if opts.Classical {
		d.kex = before("curve25519-sha256", d.kex)
	}
	d.fingerprints.of = make(map[string]string)
	d.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	d.small.New = func() any { b := make([]byte, smallSize); return &b }
	d.parking = newParking(opts.Park)
	return d, nil
}

// bufferSize is what one read takes at most, smallSize what it takes in a
// handshake, whose longest message is some 2 KB in most.
const (
	bufferSize = 16 << 10
	smallSize  = 4 << 10
)

// Close ends what the Dialer keeps running. Commands that still run are
// abandoned.
func (d *Dialer) Close() error { return d.parking.close() }

// maxRedials bounds the new dials of one attempt. Each follows from another
// thing that was learned of the server.
const maxRedials = 3

// Dial implements ssh.Dialer. What shows that a plan does not fit the server
// leads to another dial with a better one, as long as it is certain that the
// command has not run.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	p := d.planFor(a.Target)
	p.earlyExec = p.earlyExec && !a.Hold
	h, f := d.dialWithRetry(ctx, a, p)
	switch {
	case f != nil:
		return nil, f
	case h.plan.fallback:
		return d.fallBack(ctx, a)
	}
	return newConn(h), nil
}

// dialWithRetry makes handshakes until one succeeds or no plan promises to. The
// handshake that it gives has not begun where the plan is to fall back.
func (d *Dialer) dialWithRetry(ctx context.Context, a *ssh.Attempt, p plan) (*handshake, *fleet.Error) {
	var connectBy time.Time
	if limit := d.opts.Timeouts.For(a).Connect; limit > 0 {
		connectBy = d.opts.Clock.Now().Add(limit)
	}
	for redials := 0; ; redials++ {
		h := &handshake{dialer: d, ctx: ctx, attempt: a, plan: p, connectBy: connectBy}
		if p.fallback {
			return h, nil
		}
		f := h.dial()
		if f == nil {
			return h, nil
		}
		if redials == maxRedials || !h.adapt(&p, f) {
			if errors.Is(f, wire.ErrNeedsStrict) {
				f.Err = fmt.Errorf("%w\nhint: update the server's SSH, or have it offer aes128-gcm@openssh.com, "+
					"or aes256-ctr with hmac-sha2-256", f.Err)
			}
			return nil, f
		}
	}
}

// fallBack connects by other means, and says so in the end of the attempt.
func (d *Dialer) fallBack(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c, err := d.opts.Fallback.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	d.learnFallback(a.Target, c)
	return &fallbackConn{c}, nil
}

// learnFallback remembers that a server needs the fallback where what it uses with
// it shows that: the KEXINIT for which we turned to it was not authenticated. One
// that was remembered and does not need it any more is tried by ourselves next time.
func (d *Dialer) learnFallback(t fleet.Target, c ssh.Conn) {
	name := endpoint(t)
	e, known := d.opts.Memory.Get(name)
	client := clientExpress
	switch spoken, ok := c.(interface {
		Algorithms() xssh.NegotiatedAlgorithms
	}); {
	case ok && !speaks(spoken.Algorithms()):
		client = clientFallback
	case !known || e.Client != clientFallback:
		return
	}
	d.opts.Memory.Put(name, hostcache.Entry{User: t.User, Client: client})
}

// speaks reports whether this package has all that was negotiated.
func speaks(a xssh.NegotiatedAlgorithms) bool {
	return slices.Contains(wire.KexAlgorithms(), a.KeyExchange) &&
		slices.Contains(wire.AllHostKeyAlgorithms(), a.HostKey) &&
		speaksDirection(a.Read) && speaksDirection(a.Write)
}

func speaksDirection(a xssh.DirectionAlgorithms) bool {
	return wire.Config{Ciphers: []string{a.Cipher}}.Validate() == nil &&
		(a.MAC == "" || slices.Contains(wire.MACs(), a.MAC))
}

type fallbackConn struct{ ssh.Conn }

func (c *fallbackConn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(ctx, func(end fleet.End) {
		end.Flags |= fleet.FlagFallback
		done(end)
	})
}

// adapt fits the plan to what a failed connection has shown, and says whether
// another dial may do better. It never says so when the command may have run.
func (h *handshake) adapt(p *plan, failure *fleet.Error) bool {
	if failure.Outcome != fleet.OutcomeNeverStarted || h.ctx.Err() != nil {
		return false
	}
	werr, _ := errors.AsType[*wire.Error](failure)
	kind := wire.Kind(0)
	if werr != nil {
		kind = werr.Kind
	}
	switch {
	case kind == wire.KindWrongGuess && h.hostKey == nil:
		// The list that shows it is not authenticated: it costs a round trip, and
		// never decides which method comes first.
		p.kex, p.earlyKex = h.dialer.kexFor(h.attempt.Target), false
		return true
	case kind == wire.KindWrongGuess:
		p.waitForChannel(today())
		return true
	case errors.Is(failure, wire.ErrNeedsStrict): // no fallback either: it does not offer what is unsafe
		_, final := errors.AsType[*wire.NegotiationError](werr)
		return !final && p.withoutStrict()
	case kind == wire.KindNoCommonAlgorithm:
		p.fallback = h.dialer.mayFallBack(h.attempt.Target) && fallbackSpeaks(werr)
		return p.fallback
	case h.hostKey == nil:
		return h.adaptGreeting(p, failure)
	case failure.Phase == fleet.PhaseAuth && h.login.ignored(failure):
		return h.adaptAuth(p)
	}
	return false
}

// adaptGreeting is for servers that drop what comes before they have greeted
// (protocol.md, Policy 1): they have sent their version line and then nothing
// sensible.
func (h *handshake) adaptGreeting(p *plan, failure *fleet.Error) bool {
	odd := failure.Reason == fleet.ReasonKexTimeout || failure.Reason == fleet.ReasonProtocolError ||
		failure.Reason == fleet.ReasonDisconnected
	if p.stepByStep || failure.Phase != fleet.PhaseKex || !odd || h.server.kex != nil {
		return false
	}
	p.greetFirst(today())
	return true
}

// adaptAuth is for servers that end the connection over what came early.
func (h *handshake) adaptAuth(p *plan) bool {
	switch {
	case h.plan.earlyExec:
		p.waitForChannel(today())
	case h.plan.earlyAuth && !h.server.traits.earlyAuth:
		p.waitForAuth(today())
	default:
		return false
	}
	return true
}

// mayFallBack says whether another client may take the target: one that was told
// which algorithms to use keeps to them here.
func (d *Dialer) mayFallBack(t fleet.Target) bool {
	r := t.Route
	return d.opts.Fallback != nil &&
		(r == nil || r.Kex == nil && r.HostKeys == nil && r.Ciphers == nil && r.MACs == nil && r.UserKeys == nil)
}

// fallbackSpeaks says whether golang.org/x/crypto/ssh may have what this package
// lacks. What connect/standard does not offer is excluded: legacy algorithms, SHA-1,
// and what needs strict key exchange.
func fallbackSpeaks(err error) bool {
	missing, ok := errors.AsType[*wire.NegotiationError](err)
	if !ok {
		return false
	}
	theirs := xssh.SupportedAlgorithms()
	macs := slices.DeleteFunc(theirs.MACs, func(name string) bool { return name == xssh.HMACSHA1 })
	for _, list := range [][]string{
		theirs.KeyExchanges, theirs.HostKeys, wire.WithoutStrict(theirs.Ciphers), wire.WithoutStrict(macs),
	} {
		if firstCommon(list, missing.Server) != "" {
			return true
		}
	}
	return false
}
