package persist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hold"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/tunnel"
	"shoal/internal/ssh/xcrypto"
)

// HolderOptions configure a Holder. They must not be changed after NewHolder.
type HolderOptions struct {
	// StateDir and Version are what the holder says of itself.
	StateDir, Version string
	// Log, if not nil, is told what a person may want to know later, a line at a time. It holds no
	// secret, no command and no host.
	Log func(line string)
}

const (
	// maxProfiles bounds the profiles in use, and maxSettings the different settings.
	maxProfiles = 16
	maxSettings = 1 << 14
	// maxAttempts bounds the attempts of one run at a time.
	maxAttempts = 1 << 17
	// firstIdle is how long a holder waits for its first run.
	firstIdle = 30 * time.Second
)

// A Holder makes connections for runs and holds them.
type Holder struct {
	opts    HolderOptions
	clock   *clock.Clock
	started time.Time
	askers  sync.Map // *work by the *ssh.Endpoint that was made for it
	unheld  bool     // in tests: each attempt is dialled

	intentTime time.Duration // see work.intend
	silence    time.Duration // after which a run counts as stopped: see session.silent

	mu       sync.Mutex
	lines    map[profile]*line
	settings map[string]*ssh.Settings // by their JSON
	numbers  map[*ssh.Settings]uint32 // of settings, in the names of jump hosts
	hopNames map[string]*hop
	hops     map[*ssh.Endpoint]*hop
	users    map[string]string // user keys, so that connections share them
	runs     int
	stays    time.Duration // after the last run
	ends     time.Time     // zero: a run is connected
	timer    *time.Timer
	closed   bool
	over     chan struct{} // closed when the holder has nothing to stay for
}

// A line is what makes and holds the connections of a profile.
type line struct {
	timeouts ssh.Timeouts
	pool     *hold.Pool
	dialer   *client.Dialer
	network  *tunnel.Network
	memory   *hostcache.Cache
}

// NewHolder returns a Holder without a connection. Call Close in the end.
func NewHolder(o HolderOptions) *Holder {
	h := &Holder{
		opts: o, clock: clock.New(), started: time.Now(), stays: firstIdle, intentTime: intentTime, silence: silentBeats * beat,
		lines: make(map[profile]*line), settings: make(map[string]*ssh.Settings), users: make(map[string]string),
		numbers: make(map[*ssh.Settings]uint32), hopNames: make(map[string]*hop), hops: make(map[*ssh.Endpoint]*hop), over: make(chan struct{}),
	}
	h.rest()
	return h
}

// Over is closed when the holder was idle for as long as the last run wanted, or is to stop.
func (h *Holder) Over() <-chan struct{} { return h.over }

// rest starts the time after which the holder ends. mu must be held, or the Holder not shared.
func (h *Holder) rest() {
	h.ends = time.Now().Add(h.stays)
	h.timer = time.AfterFunc(h.stays, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.runs == 0 && !time.Now().Before(h.ends) {
			h.stopLocked("idle")
		}
	})
}

func (h *Holder) stop(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopLocked(why)
}

func (h *Holder) stopLocked(why string) {
	if !h.closed {
		h.closed = true
		close(h.over)
		h.log("ending: %s", why)
	}
}

func (h *Holder) log(format string, args ...any) {
	if h.opts.Log != nil {
		h.opts.Log(fmt.Sprintf(format, args...))
	}
}

// Close closes all connections. Serve must have returned everywhere.
func (h *Holder) Close() error {
	h.mu.Lock()
	h.stopLocked("closed")
	h.timer.Stop()
	lines := h.lines
	h.lines = make(map[profile]*line)
	h.mu.Unlock()
	var errs []error
	for _, l := range lines {
		l.pool.Close()
		errs = append(errs, l.dialer.Close(), l.network.Close(), l.memory.Close())
	}
	h.clock.Close()
	return errors.Join(errs...)
}

var (
	errEnding = &fleet.Error{
		Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonHolderLost, Err: errors.New("the holder of the connections is ending"),
	}
	errManyLines   = errors.New("the holder of the connections has too many kinds of runs")
	errManyOptions = errors.New("the holder of the connections has too many different settings, jump hosts or attempts")
)

// Serve serves one connection to the holder until it ends or ctx does. It closes c.
func (h *Holder) Serve(ctx context.Context, c net.Conn) {
	l := newLink(c)
	defer l.writer.Wait()
	defer l.close(errLinkClosed)
	stop := context.AfterFunc(ctx, func() { l.close(context.Cause(ctx)) })
	defer stop()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	from := newReader(c)
	f, err := from.next()
	if err != nil || f.kind != kindHello {
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	asked, err := decodeHello(&f.body)
	if errors.Is(err, errMalformed) {
		return
	}
	if err != nil || asked.purpose != purposeRun {
		h.answer(l, asked, err)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, _ = from.next() // until the other side has read the answer, which ending would drop
		if err == nil && asked.purpose == purposeStop {
			h.stop("shoal persist stop")
		}
		return
	}
	line, err := h.enter(&asked)
	if err != nil {
		h.answer(l, asked, err)
		_, _ = from.next()
		return
	}
	defer h.leave(line)
	if asked.maxAge > 0 {
		line.network.Retire(asked.maxAge)
	}
	h.answer(l, asked, nil)
	s := newSession(context.WithoutCancel(ctx), h, line, l) // the link ends it: nothing is reported any more
	defer s.close()
	for {
		f, err := from.next()
		if err == nil {
			s.hears()
			err = s.take(f)
		}
		if err != nil {
			if errors.Is(err, errMalformed) {
				h.log("a run was dropped: %v", err)
			}
			return
		}
	}
}

// answer answers a hello, and refreshes if it asks for that.
func (h *Holder) answer(l *link, asked hello, err error) {
	var said []byte
	if err == nil {
		switch asked.purpose {
		case purposeStatus:
			said, err = json.Marshal(h.status())
		case purposeRefresh:
			said, err = json.Marshal(h.status())
			h.refresh()
		case purposeStop:
			said, err = json.Marshal(h.status()) // Serve does it
		}
	}
	l.send(kindWelcome, 0, func(e *enc) {
		e.uint(version)
		if encodeRefusal(e, err); err == nil {
			e.bytes(said)
		}
	})
}

func (h *Holder) pools() (all []*hold.Pool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lines {
		all = append(all, l.pool)
	}
	return all
}

// refresh lets go of all connections that no command uses; the others must not be used again
// either, which their runs' ends see to. Those to jump hosts end with what goes through them.
func (h *Holder) refresh() {
	h.mu.Lock()
	lines := slices.Collect(maps.Values(h.lines))
	for _, hop := range h.hops {
		hop.keys = nil
	}
	h.mu.Unlock()
	for _, l := range lines {
		l.network.Retire(0) // first, so that nothing new goes through them
		l.pool.Refresh()
	}
	h.log("refreshed")
}

// MakeRoom closes some of the connections that no command uses: this process has no descriptor left.
func (h *Holder) MakeRoom() {
	for _, p := range h.pools() {
		p.MakeRoom()
	}
}

func (h *Holder) status() Status {
	s := Status{PID: os.Getpid(), StateDir: h.opts.StateDir, Version: h.opts.Version, Started: h.started}
	for _, p := range h.pools() {
		s.Idle += p.Idle()
		s.Used += p.Used()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Runs, s.Stays = h.runs, h.stays; h.runs == 0 {
		s.EndsIn = max(0, time.Until(h.ends))
	}
	return s
}

// enter counts a run and returns its line.
func (h *Holder) enter(asked *hello) (*line, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errEnding
	}
	l := h.lines[asked.profile]
	if l == nil {
		if len(h.lines) == maxProfiles {
			return nil, errManyLines
		}
		var err error
		if l, err = h.newLine(asked.profile); err != nil {
			return nil, err
		}
		h.lines[asked.profile] = l
	}
	h.runs++
	h.stays, h.ends = asked.idle, time.Time{}
	h.timer.Stop()
	return l, nil
}

// leave ends a run's use of the holder.
func (h *Holder) leave(l *line) {
	if err := l.memory.Close(); err != nil { // writes; it stays usable
		h.log("%v", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.runs--; h.runs == 0 && !h.closed {
		h.rest()
	}
}

func (h *Holder) newLine(p profile) (*line, error) {
	pool, err := hold.New(hold.Options{MaxAge: -1, Admit: h.admit}) // each run has its limit
	if err != nil {
		return nil, err
	}
	l := &line{timeouts: p.timeouts, pool: pool}
	if p.stateDir != "" {
		if l.memory, err = hostcache.Open(p.stateDir, hostcache.Options{}); err != nil {
			h.log("%v", err)
		}
	}
	network := tunnel.New(tunnel.Options{Timeouts: p.timeouts, Clock: h.clock})
	fallback, err := xcrypto.New(xcrypto.Options{
		HostKeys: pool.HostKeys(), Identities: asker{h}, Timeouts: p.timeouts, Clock: h.clock, Network: network,
	})
	if err != nil {
		return nil, err
	}
	l.dialer, err = client.New(client.Options{
		HostKeys: pool.HostKeys(), Identities: asker{h}, Timeouts: p.timeouts, Clock: h.clock, Network: network, Fallback: fallback,
		Pipeline: p.pipeline, Classical: p.classical, Memory: l.memory,
	})
	if err != nil {
		return nil, err
	}
	l.network = network
	network.Use(l.dialer)
	pool.Use(asker{h}, nil) // admit asks for both
	pool.SetDialer(logins{h, l.dialer})
	return l, nil
}

// intern returns the one copy of settings.
func (h *Holder) intern(text []byte) (*ssh.Settings, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.settings[string(text)]; s != nil {
		return s, nil
	}
	if len(h.settings) == maxSettings {
		return nil, errManyOptions
	}
	s := new(ssh.Settings)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, errMalformed
	}
	h.settings[string(text)] = s
	return s, nil
}

// elsewhere reports whether a connection to the target is held by another line.
func (h *Holder) elsewhere(l *line, t ssh.Target) bool {
	for _, p := range h.pools() {
		if p != l.pool && p.Has(t) {
			return true
		}
	}
	return false
}

// A login is a connection with the user key that logged in.
type login struct {
	ssh.Keeper
	user string // in wire form; "": none did
}

// logins is a Dialer of connections that are logins.
type logins struct {
	holder *Holder
	inner  ssh.Dialer
}

// Dial implements ssh.Dialer.
func (d logins) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c, err := d.inner.Dial(ctx, a)
	if k, ok := c.(ssh.Keeper); ok && err == nil {
		return &login{k, d.holder.userOf(a.Target)}, nil
	}
	return c, err
}

// userOf returns the key with which an attempt has logged in at its target.
func (h *Holder) userOf(t ssh.Target) string {
	w, err := h.workOf(t)
	if err != nil {
		return ""
	}
	w.mu.Lock()
	blob := w.user
	w.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.users[blob]
	if !ok {
		one = blob
		h.users[one] = one
	}
	return one
}

// admit asks the run whether a held connection may be used.
func (h *Holder) admit(t ssh.Target, k ssh.Keeper, age time.Duration) fleet.DialReason {
	w, err := h.workOf(t)
	if err != nil {
		return fleet.DialHolder
	}
	user := ""
	if l, ok := k.(*login); ok {
		user = l.user
	}
	d, err := w.ask(w.ctx, askAdmit, func(e *enc) {
		e.bytes(k.HostKey().Marshal())
		h.encodeHops(e, t)
		e.str(user)
		e.dur(age)
	})
	if err != nil {
		return fleet.DialHostKey
	}
	why := fleet.DialReason(d.str())
	if d.done() != nil {
		return fleet.DialHostKey
	}
	return why
}
