package hold

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// DefaultMaxAge is how long a connection is used after its login: a login has the rights of its
// time, and does not see new groups or removed keys.
const DefaultMaxAge = time.Hour

// defaultDials is the default of Options.Dials.
const defaultDials = 64

// Options configure a Pool. They must not be changed after New.
type Options struct {
	// MaxAge is how long after its login a connection is used at the most: up to a tenth less, at
	// random, so that those which were dialled together are not all dialled anew together. 0
	// means DefaultMaxAge, negative means no limit.
	MaxAge time.Duration
	// Max is the number of idle connections that are held; beyond it the one that was used the
	// longest ago is closed. 0 means no limit but that of descriptors.
	Max int
	// Dials limits the connections that are dialled at once in place of held ones that turned
	// out dead when they were used. 0 means 64.
	Dials int
	// Admit, if not nil, is asked before a held connection of this age is used: a reason other
	// than "" closes it, and the target is dialled. It may block. nil means that its host key
	// is checked by what Use was called with.
	Admit func(t ssh.Target, k ssh.Keeper, age time.Duration) fleet.DialReason
	// Interrupt ends commands that run when their context ends with TERM, and keeps their
	// connections. Otherwise these are closed.
	Interrupt bool
}

// A Pool is an ssh.Dialer that holds connections. It is safe for concurrent use.
type Pool struct {
	opts   Options
	inner  ssh.Dialer
	dials  chan struct{}  // has an element for each dial of redial
	leases sync.WaitGroup // goroutines of redial

	mu     sync.Mutex
	keys   ssh.HostKeys   // current; nil before Use
	runs   int            // calls of Use
	users  ssh.Identities // current; nil: user keys are not checked
	ours   map[login]bool // logins whose key was looked for among users
	known  map[string]*place
	newest *held // of the idle ones, by their last use: the others follow by older
	oldest *held
	idle   int
	closed bool
	alike  map[[2]*ssh.Settings]bool // pairs that were compared
	since  time.Time                 // connections that were made before are used no more: Refresh
}

// A place is what is known of an endpoint.
type place struct {
	idle []*held
	used int               // connections that attempts use
	pin  [sha256.Size]byte // of the host key of the last connection
	had  bool              // there was a connection
	why  fleet.DialReason  // there is none; "": DialNew or DialInUse
}

// A held is a connection that may be used again.
type held struct {
	conn     ssh.Keeper
	place    *place
	key      xssh.PublicKey
	user     xssh.PublicKey // that logged in; nil: none did
	settings *ssh.Settings
	login    time.Time
	early    time.Duration // by which it expires before Options.MaxAge
	ended    bool
	waits    bool // it is idle

	newer, older *held
}

// New returns a Pool without a connection. Its Dialer is set by SetDialer.
func New(o Options) (*Pool, error) {
	if o.Max < 0 || o.Dials < 0 {
		return nil, errors.New("a negative number of held connections or of dials; 0 means the default")
	}
	o.MaxAge, o.Dials = cmp.Or(o.MaxAge, DefaultMaxAge), cmp.Or(o.Dials, defaultDials)
	return &Pool{
		opts: o, dials: make(chan struct{}, o.Dials), known: make(map[string]*place), alike: make(map[[2]*ssh.Settings]bool),
	}, nil
}

// SetDialer sets the Dialer of new connections, which must check host keys with HostKeys. It is
// called once, before Dial.
func (p *Pool) SetDialer(d ssh.Dialer) { p.inner = d }

// Use has host keys checked by keys from now on, those of held connections before their next use,
// and closes the connections that are too old. Each run calls it, with what known_hosts says then. A
// held connection is not used if the key that logged in is not among those of users any more; nil
// means that this is not checked.
func (p *Pool) Use(keys ssh.HostKeys, users ssh.Identities) {
	p.mu.Lock()
	p.keys, p.users = keys, users
	p.runs++
	p.ours = make(map[login]bool)
	clear(p.alike) // its settings are those of earlier runs
	now := time.Now()
	var old []*held
	for h := p.oldest; h != nil; {
		next := h.newer
		if p.expired(h, now) {
			p.drop(h, fleet.DialExpired)
			old = append(old, h)
		}
		h = next
	}
	p.mu.Unlock()
	hangUp(old)
}

// Has reports whether an idle connection to the target is held, with whatever settings.
func (p *Pool) Has(t ssh.Target) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.known[nameOf(t.Target)]
	return at != nil && len(at.idle) > 0
}

// Used returns the number of connections that attempts use.
func (p *Pool) Used() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.known {
		n += at.used
	}
	return n
}

// Refresh closes all idle connections, and has those in use closed after their commands.
func (p *Pool) Refresh() {
	p.mu.Lock()
	p.since = time.Now()
	all := p.takeOldest(p.idle, fleet.DialExpired)
	p.mu.Unlock()
	hangUp(all)
}

// Idle returns the number of connections that no attempt uses.
func (p *Pool) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle
}

// Close closes all idle connections; those in use are closed when their attempts have ended. It
// waits for dials that have begun.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	all := p.takeOldest(p.idle, fleet.DialLetGo)
	p.mu.Unlock()
	hangUp(all)
	p.leases.Wait()
}

// Noted implements ssh.Notes.
func (p *Pool) Noted(t ssh.Target, word string) bool {
	return ssh.Noted(p.inner, t, word)
}

// Note implements ssh.Notes.
func (p *Pool) Note(t ssh.Target, word string, keep bool) {
	ssh.Note(p.inner, t, word, keep)
}

// Dial implements ssh.Dialer.
func (p *Pool) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	switch {
	case a.Until != 0 || a.At != nil || a.Anew:
		return p.inner.Dial(ctx, a)
	case a.WantsAgent(): // servers forward one to the first command of a connection only
		a.Connection = &fleet.Connection{Why: fleet.DialAgent}
		return p.inner.Dial(ctx, a)
	}
	h, why := p.take(ctx, a.Target)
	if h == nil {
		return p.dial(ctx, a, why)
	}
	age := h.age(time.Now())
	a.Connection = &fleet.Connection{Held: true, Age: age}
	a.Identified(p.HostKeys(), h.key)
	a.Tell("on the connection that is held, %v after its login", age.Round(time.Second))
	return &lease{pool: p, attempt: a, held: h, conn: h.conn}, nil
}

// dial dials a new connection, to be held after its command.
func (p *Pool) dial(ctx context.Context, a *ssh.Attempt, why fleet.DialReason) (ssh.Conn, error) {
	a.Connection = &fleet.Connection{Why: why}
	if why != fleet.DialNew {
		a.Tell("dialling anew: %s", why)
	}
	own := p.own(a)
	c, err := p.inner.Dial(ctx, own)
	if err != nil {
		p.makeRoom(err)
		return nil, err
	}
	l := &lease{pool: p, attempt: a, conn: c, first: true}
	if k, ok := c.(ssh.Keeper); ok && k.HostKey() != nil {
		l.held = p.enter(k, a)
	}
	return l, nil
}

// own returns a copy of a whose connection is kept.
func (p *Pool) own(a *ssh.Attempt) *ssh.Attempt {
	own := *a
	own.Keep, own.Interrupt = true, p.opts.Interrupt
	return &own
}

// enter records a new connection.
func (p *Pool) enter(k ssh.Keeper, a *ssh.Attempt) *held {
	t := a.Target
	h := &held{conn: k, key: k.HostKey(), user: a.UserKey(), settings: t.Settings(), login: time.Now()}
	if p.opts.MaxAge > 0 {
		h.early = rand.N(p.opts.MaxAge/10 + 1)
	}
	sum := sha256.Sum256(h.key.Marshal())
	p.mu.Lock()
	h.place = p.placeOf(t)
	h.place.pin, h.place.had, h.place.why = sum, true, ""
	h.place.used++
	p.mu.Unlock()
	k.OnEnd(func(error) { p.ended(h) }) // at once, if it has ended already
	return h
}

// placeOf returns the place of a target. mu must be held.
func (p *Pool) placeOf(t ssh.Target) *place {
	name := nameOf(t.Target)
	at := p.known[name]
	if at == nil {
		at = new(place)
		p.known[name] = at
	}
	return at
}

// nameOf returns what targets have in common that may share a connection, beside their settings.
func nameOf(t fleet.Target) string {
	name := t.User + "@" + strings.ToLower(t.Dialled()) + ":" + strconv.Itoa(int(t.Port))
	switch {
	case t.Route == nil:
	case t.Route.Via != nil:
		return nameOf(*t.Route.Via) + ">" + name
	case len(t.Route.ProxyCommand) > 0:
		for _, word := range t.Route.ProxyCommand {
			name += "|" + strconv.Quote(word)
		}
	}
	return name
}

// take returns an idle connection to the target, or why there is none.
func (p *Pool) take(ctx context.Context, t ssh.Target) (*held, fleet.DialReason) {
	p.mu.Lock()
	at := p.placeOf(t)
	keys, now := p.keys, time.Now()
	var gone []*held
	var found *held
	for found == nil && len(at.idle) > 0 {
		h := at.idle[len(at.idle)-1]
		switch {
		case p.expired(h, now):
			p.drop(h, fleet.DialExpired)
		case !p.same(h.settings, t.Settings()):
			p.drop(h, fleet.DialSettings)
		default:
			p.unlink(h)
			at.used++
			h.settings = t.Settings()
			found = h
			continue
		}
		gone = append(gone, h)
	}
	why := at.why
	switch {
	case why != "":
	case at.used > 0:
		why = fleet.DialInUse
	default:
		why = fleet.DialNew
	}
	p.mu.Unlock()
	hangUp(gone)
	if found == nil {
		return nil, why
	}
	if why := p.admit(ctx, keys, t, found); why != "" {
		p.discard(found, why)
		return nil, why
	}
	return found, ""
}

// admit returns why a held connection must not be used, or "".
func (p *Pool) admit(ctx context.Context, keys ssh.HostKeys, t ssh.Target, h *held) fleet.DialReason {
	switch {
	case p.opts.Admit != nil:
		return p.opts.Admit(t, h.conn, h.age(time.Now()))
	case !trusted(keys, t, h.key):
		return fleet.DialHostKey
	case !p.hasUserKey(ctx, t, h.user):
		return fleet.DialUserKey
	}
	return ""
}

// trusted reports whether keys trusts the key of the target now.
func trusted(keys ssh.HostKeys, t ssh.Target, key xssh.PublicKey) bool {
	if keys == nil {
		return false
	}
	if err := keys.Check(t, nil, key); err != nil {
		return false
	}
	ssh.ReleaseKey(keys, t, key)
	return true
}

// same reports whether connections with these settings are alike: a terminal is of one command. mu
// must be held.
func (p *Pool) same(a, b *ssh.Settings) bool {
	if a == b {
		return true
	}
	pair := [2]*ssh.Settings{a, b}
	alike, known := p.alike[pair]
	if !known {
		if a != nil && b != nil && a.PTY != b.PTY {
			other := *b
			other.PTY = a.PTY
			b = &other
		}
		alike = reflect.DeepEqual(a, b)
		p.alike[pair] = alike
	}
	return alike
}

// age is by the clock on the wall too, which goes on while this machine sleeps.
func (h *held) age(now time.Time) time.Duration {
	return max(now.Sub(h.login), now.Round(0).Sub(h.login.Round(0)))
}

func (p *Pool) expired(h *held, now time.Time) bool {
	return p.opts.MaxAge > 0 && h.age(now) >= p.opts.MaxAge-h.early || h.login.Before(p.since)
}

// giveBack makes a connection idle whose attempt has ended.
func (p *Pool) giveBack(h *held) {
	p.mu.Lock()
	h.place.used--
	var gone []*held
	switch {
	case h.ended:
		h.place.why = fleet.DialLost
	case p.closed:
		gone = append(gone, h)
	case p.expired(h, time.Now()):
		h.place.why, gone = fleet.DialExpired, append(gone, h)
	default:
		h.place.why = ""
		p.link(h)
		if p.opts.Max > 0 && p.idle > p.opts.Max {
			gone = p.takeOldest(p.idle-p.opts.Max, fleet.DialLetGo)
		}
	}
	p.mu.Unlock()
	hangUp(gone)
}

// discard closes a connection that an attempt has used in vain.
func (p *Pool) discard(h *held, why fleet.DialReason) {
	p.mu.Lock()
	h.place.used--
	h.place.why = why
	p.mu.Unlock()
	_ = h.conn.Close()
}

// ended records the end of a connection.
func (p *Pool) ended(h *held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.ended = true; h.waits {
		p.drop(h, fleet.DialLost)
	}
}

// makeRoom closes some of the idle connections if a dial has failed because this machine has no
// descriptor left.
func (p *Pool) makeRoom(err error) {
	f, ok := errors.AsType[*fleet.Error](err)
	if ok && (f.Reason == fleet.ReasonLocalFiles || f.Reason == fleet.ReasonLocalPorts) {
		p.MakeRoom()
	}
}

// MakeRoom closes a tenth of the idle connections.
func (p *Pool) MakeRoom() {
	p.mu.Lock()
	some := p.takeOldest((p.idle+9)/10, fleet.DialLetGo)
	p.mu.Unlock()
	hangUp(some)
}

// takeOldest removes the n idle connections that were used the longest ago. mu must be held.
func (p *Pool) takeOldest(n int, why fleet.DialReason) (taken []*held) {
	for ; n > 0 && p.oldest != nil; n-- {
		h := p.oldest
		p.drop(h, why)
		taken = append(taken, h)
	}
	return taken
}

// drop removes an idle connection for good. mu must be held.
func (p *Pool) drop(h *held, why fleet.DialReason) {
	p.unlink(h)
	h.place.why = why
}

// link adds a connection to the idle ones, as the newest. mu must be held.
func (p *Pool) link(h *held) {
	h.place.idle = append(h.place.idle, h)
	h.waits, h.older, h.newer = true, p.newest, nil
	if p.newest != nil {
		p.newest.newer = h
	} else {
		p.oldest = h
	}
	p.newest = h
	p.idle++
}

// unlink removes an idle connection. mu must be held.
func (p *Pool) unlink(h *held) {
	at := h.place
	for i, other := range at.idle {
		if other == h {
			at.idle[i] = at.idle[len(at.idle)-1]
			at.idle[len(at.idle)-1] = nil
			at.idle = at.idle[:len(at.idle)-1]
			break
		}
	}
	if h.newer != nil {
		h.newer.older = h.older
	} else {
		p.newest = h.older
	}
	if h.older != nil {
		h.older.newer = h.newer
	} else {
		p.oldest = h.newer
	}
	h.waits, h.newer, h.older = false, nil, nil
	p.idle--
}

// hangUp closes connections; mu must not be held, because the end of a connection takes it.
func hangUp(all []*held) {
	for _, h := range all {
		_ = h.conn.Close()
	}
}
