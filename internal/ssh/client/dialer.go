package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/algorithms"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/wire"
)

// A Dialer connects with package internal/ssh/wire. It implements ssh.Dialer.
type Dialer struct {
	opts      Options
	version   string   // our identification line
	kex       []string // best first
	hostKeys  []string // every host-key algorithm of package wire
	parking   *eventDrivers
	buffers   sync.Pool    // of *[]byte, for reads while a command runs
	large     sync.Pool    // of *[]byte, for parts of its input
	inputs    atomic.Int64 // commands that were accepted and have input
	outputs   sync.Pool    // of *[]byte, for packets of the input
	small     sync.Pool    // of *[]byte, for handshakes
	first     sync.Pool    // of *[]byte, for their first read: see handshakeReader
	configs   sync.Map     // of *wire.Config by configKey
	flights   wire.Memory  // of their Clients
	lingering lingering
	began     time.Time
	asking    sync.WaitGroup // the goroutines that ask an agent
	late      sync.Map       // of endpoints where a later command must wait for its channel
	settle    time.Duration  // settleTime, but in tests

	fingerprints struct {
		sync.Mutex
		of map[string]string // by a key in wire form
	}
}

// A configKey is equal for equal configurations of one Dialer.
type configKey struct {
	kex, hostKeys, ciphers, macs string
	earlyKex, stepByStep         bool
	window                       uint32
	rekeyBytes                   uint64
	rekeyAfter                   time.Duration
}

// shared returns one configuration for all equal ones, because every waiting
// connection holds its own. There are few different ones: the host cache orders
// about six names.
func (d *Dialer) shared(c *wire.Config) *wire.Config {
	names := func(list []string) string {
		if list == nil { // offers all, and an empty list nothing
			return "all"
		}
		return strings.Join(list, ",")
	}
	one, _ := d.configs.LoadOrStore(configKey{
		kex: names(c.Kex), hostKeys: names(c.HostKeys), ciphers: names(c.Ciphers), macs: names(c.MACs),
		earlyKex: c.EarlyKex, stepByStep: c.StepByStep,
		window: c.Window, rekeyBytes: c.RekeyBytes, rekeyAfter: c.RekeyAfter,
	}, c)
	return one.(*wire.Config)
}

// New validates opts and returns a Dialer.
func New(opts Options) (*Dialer, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	d := &Dialer{opts: opts.withDefaults(), kex: wire.KexAlgorithms(), hostKeys: wire.AllHostKeyAlgorithms()}
	d.version = "SSH-2.0-" + d.opts.Version
	d.settle, d.began = settleTime, time.Now()
	if opts.Classical {
		d.kex = before("curve25519-sha256", d.kex)
	}
	d.fingerprints.of = make(map[string]string)
	d.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	d.large.New = func() any { b := make([]byte, largeSize); return &b }
	d.outputs.New = func() any { return new([]byte) }
	d.small.New = func() any { b := make([]byte, smallSize); return &b }
	d.first.New = func() any { b := make([]byte, firstSize); return &b }
	d.parking = newParking(opts.Park)
	return d, nil
}

// bufferSize limits one read while a command runs, and one part of its input, smallSize a read
// during a handshake, whose longest message is usually about 2 KB, and firstSize its first one on a
// connection that is no bare socket.
const (
	bufferSize = 16 << 10
	smallSize  = 4 << 10
	firstSize  = 512
)

// largeSize is that of a part of the input while no more than fewInputs commands have one: it
// takes fewer system calls, but a connection that is blocked may hold a part.
const (
	largeSize = 128 << 10
	fewInputs = 64
)

// Close stops the Dialer's goroutines. Running commands are abandoned.
func (d *Dialer) Close() error {
	err := d.parking.close()
	d.lingering.wait()
	d.asking.Wait()
	return err
}

// maxRedials limits the further connections of one attempt. Each follows from
// something new that was learned about the server.
const maxRedials = 3

// Dial implements ssh.Dialer. A failure which shows that the plan does not fit the
// server leads to another connection with a corrected plan, as long as the command
// certainly has not run; so does one which shows that the program is needed.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	if a.Until == 0 && d.opts.Program != nil && a.Target.Settings().Program.Needed != "" {
		return d.opts.Program.Dial(ctx, a)
	}
	c, err := d.dialOwn(ctx, a)
	if f, ok := errors.AsType[*fleet.Error](err); ok && a.Until == 0 && d.programHelps(ctx, a.Target, f) {
		return d.opts.Program.Dial(ctx, a)
	}
	return c, err
}

// dialOwn connects with this package, or with Options.Fallback.
func (d *Dialer) dialOwn(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	p := d.planFor(a.Target, a.Idempotent)
	p.earlyExec = p.earlyExec && !a.Hold
	p.fallback = p.fallback && a.Until == 0
	d.tellPlan(a, &p)
	h, f := d.dialWithRetry(ctx, a, p)
	switch {
	case f != nil:
		return nil, f
	case h.plan.fallback && a.Until != 0:
		return nil, a.FailIn(fleet.PhaseKex, fleet.OutcomeNeverStarted, fleet.ReasonNoCommonAlgorithm, hint.New(
			"only golang.org/x/crypto/ssh has an algorithm in common with the server, and it logs in", "leave out --until"))
	case h.plan.fallback:
		return d.fallBack(ctx, a)
	}
	return newConn(h), nil
}

// dialWithRetry makes handshakes until one succeeds or no plan promises to. If the
// plan of the returned handshake is to fall back, it was not started.
func (d *Dialer) dialWithRetry(ctx context.Context, a *ssh.Attempt, p plan) (*handshake, *fleet.Error) {
	connectBy := a.ConnectBy(d.opts.Clock.Now(), d.opts.Timeouts.For(a).Connect)
	kexTime := d.opts.Timeouts.Kex
	var earlier *fleet.Error
	for redials := 0; ; redials++ {
		h := &handshake{dialer: d, ctx: ctx, attempt: a, plan: p, connectBy: connectBy, kexTime: kexTime}
		if p.fallback {
			return h, nil
		}
		f := h.dial()
		if f == nil {
			return h, nil
		}
		if earlier != nil && f.Phase <= fleet.PhaseDial && errors.Is(f, ssh.ErrConnectTimeout) {
			return nil, earlier // which has used up the time
		}
		earlier = f
		if h.hostKey == nil && !h.kexBy.IsZero() { // no connection of the attempt extends the phase
			kexTime = h.kexBy.Sub(d.opts.Clock.Now())
		}
		if redials == maxRedials || kexTime <= 0 || !h.adapt(&p, f) {
			if errors.Is(f, wire.ErrNeedsStrict) {
				f.Err = hint.Wrap(f.Err, "update the server's SSH, or have it offer aes128-gcm@openssh.com, "+
					"or aes256-ctr with hmac-sha2-256")
			}
			if missing, ok := errors.AsType[*wire.NegotiationError](f); ok && !errors.Is(f, wire.ErrNeedsStrict) {
				f.Err = algorithms.Explain(f.Err, missing.Server)
			}
			return nil, f
		}
		if a.Verbose != nil {
			with := "as the server needs it"
			if p.fallback {
				with = "with golang.org/x/crypto/ssh"
			}
			a.Tell("connecting anew, %s: %s in %s: %s", with, f.Reason, f.Phase, ssh.Brief(f.Err))
		}
	}
}

// fallBack connects with Options.Fallback and sets FlagFallback in the end.
func (d *Dialer) fallBack(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c, err := d.opts.Fallback.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	d.learnFallback(a.Target, c)
	if k, ok := c.(ssh.Keeper); ok {
		return &fallbackKeeper{fallbackConn{c}, k}, nil
	}
	return &fallbackConn{c}, nil
}

// learnFallback remembers that a server needs the fallback, if the algorithms
// negotiated by it show that: the KEXINIT that led to the fallback was not
// authenticated. If a remembered server no longer needs it, the next connection
// uses this package. Nothing is remembered of a server whose key is not proven.
func (d *Dialer) learnFallback(t ssh.Target, c ssh.Conn) {
	spoken, ok := c.(interface {
		Algorithms() xssh.NegotiatedAlgorithms
		HostKey() xssh.PublicKey
	})
	if !ok || d.opts.Memory == nil || !ssh.Proven(d.opts.HostKeys, t, spoken.HostKey()) {
		return
	}
	name := endpoint(t.Target)
	e, known := d.opts.Memory.Get(name)
	client := clientExpress
	switch {
	case !speaks(spoken.Algorithms()):
		client = clientFallback
	case !known || e.Client != clientFallback:
		return
	}
	d.opts.Memory.Put(name, hostcache.Entry{User: t.User, Client: client})
}

// speaks reports whether package wire supports all negotiated algorithms.
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

// A fallbackKeeper is a fallbackConn that implements ssh.Keeper.
type fallbackKeeper struct {
	fallbackConn
	keeper ssh.Keeper
}

// HostKey implements ssh.Keeper.
func (c *fallbackKeeper) HostKey() xssh.PublicKey { return c.keeper.HostKey() }

// OnEnd implements ssh.Keeper.
func (c *fallbackKeeper) OnEnd(f func(cause error)) { c.keeper.OnEnd(f) }

// Start implements ssh.Conn.
func (c *fallbackConn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(ctx, flagged(done))
}

// StartNext implements ssh.Conn.
func (c *fallbackConn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	c.Conn.StartNext(ctx, a, flagged(done))
}

func flagged(done func(fleet.End)) func(fleet.End) {
	return func(end fleet.End) {
		end.Flags |= fleet.FlagFallback
		done(end)
	}
}

// adapt corrects the plan after a failed connection, and reports whether another
// connection may succeed. It returns false if the command may have run.
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
		// The server's list that shows this is not authenticated. Believing it costs a
		// round trip, and it does not decide which method is preferred.
		p.kex, p.earlyKex = h.dialer.kexFor(h.attempt.Target), false
		return true
	case kind == wire.KindWrongGuess:
		p.waitForChannel(today())
		return true
	case kind == wire.KindNoCommonAlgorithm:
		missing, final := errors.AsType[*wire.NegotiationError](werr)
		if !final { // it lacks strict key exchange
			return p.withoutStrict()
		}
		p.fallback = h.dialer.opts.Fallback != nil && fallbackSpeaks(h.attempt.Target, missing.Server)
		return p.fallback
	case h.hostKey == nil:
		return h.adaptGreeting(p, failure)
	case failure.Phase == fleet.PhaseAuth && h.login.ignored(failure):
		return h.adaptAuth(p)
	}
	return false
}

// adaptGreeting handles servers that discard what arrives before they have sent
// their version line (protocol.md, Policy 1): they send it and then nothing
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

// adaptAuth handles servers that end the connection because of early messages.
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

// fallbackSpeaks reports whether the fallback offers one of the algorithms that the
// server has and package wire lacks.
func fallbackSpeaks(t ssh.Target, server []string) bool {
	offer := algorithms.Fallback(t.Settings())
	for _, list := range [][]string{offer.Kex, offer.HostKeys, offer.Ciphers, offer.MACs} {
		if firstCommon(list, server) != "" {
			return true
		}
	}
	return false
}
