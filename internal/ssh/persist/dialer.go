package persist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hold"
	"shoal/internal/ssh/sshreason"
)

// Options configure a Dialer. They must not be changed after New.
type Options struct {
	// HostKeys and Identities decide for every connection, also for those that are held. Required.
	HostKeys   ssh.HostKeys
	Identities ssh.Identities
	// Local dials what the holder must not or cannot dial. Required.
	Local ssh.Dialer
	// Passwords means that Local may send passwords: it dials all targets that allow one.
	Passwords bool
	// Timeouts are the phases' deadlines; zero values are the defaults.
	Timeouts ssh.Timeouts
	// Clock measures what the holder takes. nil means real time.
	Clock *clock.Clock
	// Pipeline, Classical and StateDir are those of package client, and of the host cache.
	Pipeline  client.Pipeline
	Classical bool
	StateDir  string
	// MaxAge is how long after its login a held connection is used; those to jump hosts are looked at
	// when the run begins. 0 means hold.DefaultMaxAge, negative means no limit.
	MaxAge time.Duration
	// Idle is how long the holder stays after its last run.
	Idle time.Duration
}

// A Dialer passes attempts on to a holder. It implements ssh.Dialer.
type Dialer struct {
	opts       Options
	link       *link
	all        sync.WaitGroup // goroutines
	goroutines *goroutines    // some of them
	settings   sync.Mutex     // held while settings are numbered and sent

	mu       sync.Mutex
	attempts map[uint32]*remote
	drains   map[<-chan struct{}]bool // that are waited for
	numbers  map[*ssh.Settings]uint32
	last     uint32
	frames   uint64 // that were received
	lost     error  // why there is no holder any more; nil: there is one
	stop     chan struct{}
}

const (
	// patience is how long a holder may take for its first word, and for giving up an attempt.
	patience = 5 * time.Second
	// beat is the time between two questions whether the holder is alive; after silentBeats
	// without an answer it counts as lost. They are counted, so that a process which was stopped
	// itself does not take the other one for dead.
	beat        = 2 * time.Second
	silentBeats = 5
)

// New begins to use the holder at the other end of c, which it takes over. Close must follow.
func New(ctx context.Context, c net.Conn, o Options) (*Dialer, error) {
	switch {
	case o.HostKeys == nil, o.Identities == nil, o.Local == nil:
		_ = c.Close()
		return nil, errors.New("no host keys, identities or Dialer")
	}
	o.MaxAge = cmp.Or(o.MaxAge, hold.DefaultMaxAge)
	timeouts := o.Timeouts
	timeouts.Command = 0 // each attempt has it
	h := hello{purpose: purposeRun, idle: o.Idle, maxAge: o.MaxAge, profile: profile{timeouts.WithDefaults(), o.Pipeline, o.Classical, o.StateDir}}
	l, from, _, err := greet(ctx, c, h)
	if err != nil {
		return nil, err
	}
	d := &Dialer{opts: o, link: l, attempts: make(map[uint32]*remote), drains: make(map[<-chan struct{}]bool), numbers: make(map[*ssh.Settings]uint32), stop: make(chan struct{})}
	d.goroutines = newGoroutines(&d.all, d.stop)
	d.all.Go(func() { d.read(from) })
	d.all.Go(d.watch)
	return d, nil
}

// greet says hello and waits for the answer.
func greet(ctx context.Context, c net.Conn, h hello) (*link, *reader, []byte, error) {
	l := newLink(c)
	fail := func(err error) (*link, *reader, []byte, error) {
		l.close(err)
		l.writer.Wait()
		return nil, nil, nil, err
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	l.send(kindHello, 0, h.encode)
	from := newReader(c)
	f, err := from.next()
	switch {
	case ctx.Err() != nil:
		return fail(context.Cause(ctx))
	case sshreason.TimedOut(err):
		return fail(hint.New(fmt.Sprintf("the holder of the connections gave no answer within %v", patience), "shoal persist stop ends it"))
	case err != nil:
		return fail(fmt.Errorf("the holder of the connections gave no answer: %w", err))
	case f.kind != kindWelcome:
		return fail(fmt.Errorf("the holder's first answer: %w", errMalformed))
	}
	if f.body.uint() != version {
		return fail(hint.Wrap(errVersion, "shoal persist stop ends it"))
	}
	if err := refusal(&f.body); err != nil {
		return fail(err)
	}
	said := append([]byte(nil), f.body.bytes()...)
	if err := f.body.done(); err != nil {
		return fail(err)
	}
	_ = c.SetReadDeadline(time.Time{})
	return l, from, said, nil
}

// Gone reports whether err, of New, says that the holder was ending: another try finds the next
// one, or none.
func Gone(err error) bool {
	f, ok := errors.AsType[*fleet.Error](err)
	return ok && f.Reason == fleet.ReasonHolderLost ||
		errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

var errClosed = errors.New("the run does not use the holder any more")

// Close ends the use of the holder, which keeps its connections, but for those with attempts. It
// waits for the Dialer's goroutines.
func (d *Dialer) Close() error {
	d.lose(errClosed)
	d.all.Wait()
	d.link.writer.Wait()
	return nil
}

// lose ends everything that is under way.
func (d *Dialer) lose(why error) {
	d.mu.Lock()
	if d.lost != nil {
		d.mu.Unlock()
		return
	}
	d.lost = why
	close(d.stop)
	all := d.attempts
	d.attempts = make(map[uint32]*remote)
	d.mu.Unlock()
	d.link.close(why)
	for _, r := range all {
		r.abandon()
	}
}

// watch asks whether the holder is alive while there are attempts.
func (d *Dialer) watch() {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	silent, before := 0, uint64(0)
	for {
		select {
		case <-d.stop:
			return
		case <-tick.C:
		}
		d.giveUpSlow()
		d.mu.Lock()
		frames, busy := d.frames, len(d.attempts) > 0
		d.mu.Unlock()
		switch {
		case frames != before || !busy:
			silent, before = 0, frames
		case silent == silentBeats:
			d.lose(fmt.Errorf("the holder of the connections gave no sign of life for %v", silentBeats*beat))
			return
		default:
			silent++
		}
		d.link.send(kindPing, 0, nil)
	}
}

// slowTries is how often the deadlines of each host on the way of an attempt may pass before the holder is not waited for any
// more: jump hosts are logged in to again and again, and for many connections one after the other.
const slowTries = 10

// dialTime is how long the holder may take for the dial of an attempt. Its client keeps the deadlines: this is for a holder
// that lives and has lost sight of the attempt.
func (d *Dialer) dialTime(a *ssh.Attempt) time.Duration {
	t := d.opts.Timeouts.For(a).WithDefaults()
	limit := t.Connect
	if limit == 0 {
		limit = time.Duration(slowTries*len(way(a.Target))) * (t.Dial + t.Kex + t.Auth)
	}
	return limit + patience
}

var errSlow = errors.New("it has not said in time what became of the connection")

// giveUpSlow ends the wait for dials that the holder should have ended long ago.
func (d *Dialer) giveUpSlow() {
	now := d.opts.Clock.Now()
	var slow []*remote
	d.mu.Lock()
	for id, r := range d.attempts {
		if r.slow(now) {
			delete(d.attempts, id) // what it says from now on is for nobody
			slow = append(slow, r)
		}
	}
	d.mu.Unlock()
	for _, r := range slow {
		d.link.send(kindCancel, r.id, func(e *enc) { e.str(errSlow.Error()) })
		r.opened <- opening{lost: true}
	}
}

// followDrain has the holder told when the attempt's Drain is closed. It must be called when the attempt was sent.
func (d *Dialer) followDrain(r *remote) {
	drain := r.attempt.Drain
	d.mu.Lock()
	defer d.mu.Unlock()
	if drain == nil || d.lost != nil || d.drains[drain] {
		return
	}
	select {
	case <-drain: // the others know
		d.link.send(kindDrain, r.id, nil)
		return
	default:
	}
	d.drains[drain] = true
	d.all.Go(func() {
		select {
		case <-drain:
		case <-d.stop:
			return
		}
		var ids []uint32
		d.mu.Lock()
		for id, r := range d.attempts {
			if r.attempt.Drain == drain {
				ids = append(ids, id)
			}
		}
		delete(d.drains, drain)
		d.mu.Unlock()
		for _, id := range ids {
			d.link.send(kindDrain, id, nil)
		}
	})
}

// whyLocal returns why the run itself has to dial; "" means that it does not. plain means that
// held connections are beside the point.
func (d *Dialer) whyLocal(a *ssh.Attempt) (why fleet.DialReason, plain bool) {
	t, s := &a.Target, a.Target.Settings()
	switch {
	case a.Until != 0 || a.At != nil || a.Anew || t.Err() != nil:
		return "", true
	case !d.leads(*t):
		return fleet.DialRoute, false
	case a.WantsAgent():
		return fleet.DialAgent, false
	case s.Program.Needed != "":
		return fleet.DialClient, false
	case d.opts.Passwords && slices.ContainsFunc(way(*t), mayNeedPassword):
		return fleet.DialPassword, false
	case len(a.Exec())+len(t.Host.Name)+len(t.User) > maxExec:
		return fleet.DialHolder, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost != nil {
		return fleet.DialHolder, false
	}
	return "", false
}

// mayNeedPassword reports whether a password may be sent to a target, or a jump host.
func mayNeedPassword(t ssh.Target) bool {
	return !t.NoPassword() && (t.Endpoint == nil || t.Endpoint.Settings == nil || t.Settings().Password)
}

// A programHelper is a Local that has the system's ssh, which may log in where the holder's client could not.
type programHelper interface {
	ProgramHelps(ctx context.Context, t ssh.Target, f *fleet.Error) bool
}

// programHelps reports whether the run's own client can be expected to log in where the holder's failed with f.
func (d *Dialer) programHelps(ctx context.Context, t ssh.Target, f *fleet.Error) bool {
	p, ok := d.opts.Local.(programHelper)
	return ok && p.ProgramHelps(ctx, t, f)
}

// leads reports whether the holder can take the way to a target. A proxy command would run in its
// environment and not in that of the run.
func (d *Dialer) leads(t ssh.Target) bool {
	all := way(t)
	for i, t := range all {
		r := t.Route
		if r != nil && (len(r.ProxyCommand) > 0 && r.Via == nil || r.Via != nil && t.Jump() == nil) || i > 0 && t.Settings().Program.Needed != "" {
			return false
		}
	}
	return len(all) <= maxHops
}

// Noted implements ssh.Notes.
func (d *Dialer) Noted(t ssh.Target, word string) bool { return ssh.Noted(d.opts.Local, t, word) }

// Note implements ssh.Notes.
func (d *Dialer) Note(t ssh.Target, word string, keep bool) { ssh.Note(d.opts.Local, t, word, keep) }

// Dial implements ssh.Dialer.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	why, plain := d.whyLocal(a)
	switch {
	case plain:
		return d.opts.Local.Dial(ctx, a)
	case why != "":
		return d.dialLocal(ctx, a, why)
	}
	r := d.newRemote(ctx, a)
	r.answerBy(d.opts.Clock.Now().Add(d.dialTime(a)))
	if !d.order(r, kindOpen, 0, false) {
		r.finished()
		return d.dialLocal(ctx, a, fleet.DialHolder)
	}
	o, inTime := r.await(ctx)
	if !inTime || o.lost || o.err != nil {
		r.finished()
	}
	switch {
	case !inTime:
		return nil, sshreason.Interrupted(ctx, a)
	case o.lost && d.link.takeBack(&a.Execution): // the link may be there still
		return d.dialLocal(ctx, a, fleet.DialHolder)
	case o.lost:
		return nil, r.gone()
	case o.err != nil:
		f := r.failure(ctx, o.err)
		switch distrust := a.Target.Jump() != nil && o.connection.Why == fleet.DialHostKey; {
		case !d.link.takeBack(&a.Execution) || ctx.Err() != nil:
		case f.Reason == fleet.ReasonHolderLost: // it has no room
			return d.dialLocal(ctx, a, fleet.DialHolder)
		case f.Reason == fleet.ReasonNoCommonAlgorithm, d.programHelps(ctx, a.Target, f):
			return d.dialLocal(ctx, a, fleet.DialClient)
		case distrust && f.Phase == fleet.PhaseHostkey: // it may have another jump host's connection
			return d.dialLocal(ctx, a, fleet.DialHostKey)
		}
		return nil, f
	}
	return &conn{dialer: d, first: r}, nil
}

// dialLocal dials with the run's own client.
func (d *Dialer) dialLocal(ctx context.Context, a *ssh.Attempt, why fleet.DialReason) (ssh.Conn, error) {
	a.Connection = &fleet.Connection{Why: why}
	a.Tell("dialling without the holder of connections: %s", why)
	return d.opts.Local.Dial(ctx, a)
}

// order sends an attempt. on is the connection of a further one, and intended says that its
// intent was recorded. It reports false if there is no holder any more.
func (d *Dialer) order(r *remote, k kind, on uint32, intended bool) bool {
	a := r.attempt
	var numbers []uint32
	for _, t := range way(a.Target) {
		number, ok := d.number(t.Settings())
		if !ok {
			return false
		}
		numbers = append(numbers, number)
	}
	t := d.opts.Timeouts.For(a)
	limit, left := t.Command, time.Duration(0)
	if limit == 0 {
		limit = -1
	}
	if now := d.opts.Clock.Now(); k == kindOpen {
		if by := a.ConnectBy(now, t.Connect); !by.IsZero() {
			left = by.Sub(now)
		}
	}
	body := func(e *enc) {
		if k == kindNext {
			e.uint(uint64(on))
			e.bool(intended)
		}
		encodeAttempt(e, a, numbers, left, limit)
	}
	if intended {
		return d.link.hand(k, r.id, body, &a.Execution, nil)
	}
	return d.link.send(k, r.id, body)
}

// number returns the number of settings, which it sends the first time.
func (d *Dialer) number(s *ssh.Settings) (uint32, bool) {
	d.settings.Lock()
	defer d.settings.Unlock()
	if n, ok := d.numbers[s]; ok {
		return n, true
	}
	text, err := encodeSettings(s)
	if err != nil {
		return 0, false
	}
	n := uint32(len(d.numbers) + 1)
	if !d.link.send(kindSettings, n, func(e *enc) { e.bytes(text) }) {
		return 0, false
	}
	d.numbers[s] = n
	return n, true
}

// read receives frames until the link ends.
func (d *Dialer) read(from *reader) {
	for {
		f, err := from.next()
		if err == nil {
			err = d.take(f)
		}
		if err != nil {
			d.lose(fmt.Errorf("the holder of the connections is lost: %w", err))
			return
		}
	}
}

// take handles a frame. An error ends the use of the holder.
func (d *Dialer) take(f frame) error {
	d.mu.Lock()
	d.frames++
	r := d.attempts[f.id]
	d.mu.Unlock()
	b := &f.body
	switch f.kind {
	case kindPong:
		return b.done()
	case kindAsk:
		return d.asked(f.id, b)
	case kindOpened:
		o := opening{connection: decodeConnection(b), queued: b.bool()}
		at := b.str()
		if err := b.done(); err != nil {
			return err
		}
		if r == nil { // it was given up meanwhile
			d.link.send(kindClose, f.id, nil)
			return nil
		}
		r.reached(at)
		return r.open(o)
	case kindFailed, kindEnd:
		end, c, err := decodeEnd(b)
		if err != nil || r == nil {
			return err
		}
		if f.kind == kindFailed {
			return r.open(opening{connection: c, err: &end})
		}
		return r.push(event{end: &end, connection: c})
	case kindPhase:
		p := fleet.Phase(b.uint())
		if err := b.done(); err != nil || p == fleet.PhaseNone || p >= fleet.NumPhases {
			return errMalformed
		}
		if r != nil {
			r.enter(p)
		}
	case kindTell:
		line := b.str()
		if err := b.done(); err != nil || r == nil {
			return err
		}
		if len(line) <= maxText {
			r.attempt.Tell("%s", line)
		}
	case kindOutput:
		stream, p := fleet.Stream(b.uint()), b.bytes()
		if err := b.done(); err != nil || stream >= fleet.NumStreams {
			return errMalformed
		}
		if r != nil {
			return r.push(event{stream: stream, bytes: append([]byte(nil), p...)})
		}
	case kindWant:
		upTo := b.int()
		if err := b.done(); err != nil || r == nil {
			return err
		}
		r.want(upTo)
	case kindReleased:
		hop, key := b.uint(), b.bytes()
		if err := b.done(); err != nil || r == nil {
			return err
		}
		return r.released(hop, key)
	default:
		return errMalformed
	}
	return nil
}

// Without returns a Dialer for a run that uses no holder: local dials, and why is in its results.
func Without(local ssh.Dialer, why fleet.DialReason) ssh.Dialer { return without{local, why} }

type without struct {
	local ssh.Dialer
	why   fleet.DialReason
}

// Dial implements ssh.Dialer.
func (d without) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	a.Connection = &fleet.Connection{Why: d.why}
	return d.local.Dial(ctx, a)
}
