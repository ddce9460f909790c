package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// DefaultPool is the pool of hosts without an attribute pool.
const DefaultPool = "default"

// A host is a target on its way through a worker. It implements ssh.Conn.
type host struct {
	c       *Coordinator
	attempt *ssh.Attempt
	pool    string
	aside   bool    // see Host.Aside
	become  *Become // nil: nobody else
	done    func(fleet.End)
	forget  func() bool // ends the waiting for the end of Start's context; guarded by c.mu
	once    sync.Once   // of end
	sending sync.Mutex  // of calls of sent and dialled, and of parts
	ended   bool        // guarded by sending, as is the next
	passed  [fleet.NumStreams]int64
	givenUp time.Time // when a person gave it up, although a worker may have it; guarded by c.mu
}

// Dial implements ssh.Dialer. It records the intent and connects nowhere.
func (c *Coordinator) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	pool, err := c.check(a)
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	if err := a.Intend(); err != nil {
		return nil, err
	}
	return &host{c: c, attempt: a, pool: pool}, nil
}

// PoolOf returns the pool that a target goes to.
func PoolOf(t fleet.Target) (string, error) {
	pool := PoolNamed(t)
	switch {
	case pool == "":
		return DefaultPool, nil
	case !validName(pool):
		return "", fmt.Errorf("its attribute pool is %.80q, which is no name of letters, digits, - and _", pool)
	}
	return pool, nil
}

// PoolNamed returns the pool that the journal or the inventory names, "" if none does.
func PoolNamed(t fleet.Target) string {
	if t.Route != nil && t.Route.Pool != "" {
		return t.Route.Pool
	}
	if t.Attrs == nil {
		return ""
	}
	pool, _ := t.Attrs.Attr("pool")
	return pool
}

// check returns the pool of the attempt, or an error for what workers cannot do.
func (c *Coordinator) check(a *ssh.Attempt) (string, error) {
	t := a.Target
	if err := t.Err(); err != nil {
		return "", err
	}
	route := t.Route
	switch {
	case len(a.Exec()) > maxCommand || a.Subsystem:
		return "", errors.New("workers run commands of at most 128 KiB")
	case a.Stream != nil:
		return "", errors.New("workers have nobody whom a command could ask while it runs, for a password or more of its input")
	case a.InputSize() > maxInput:
		return "", hint.Wrap(fmt.Errorf("workers give a command at most %d MiB of standard input, and this has %d bytes", maxInput>>20, a.InputSize()), "copy it to the hosts as a file")
	case a.Agent || a.Hold || t.Settings().Agent.Socket != "":
		return "", errors.New("workers give commands no agent, and hold no connection for a barrier")
	case route != nil && (route.Via != nil || len(route.ProxyCommand) > 0):
		return "", hint.New("it is reached through a jump host or a proxy command here, and workers go their own way",
			"-J none leaves the way to the worker's ssh_config")
	case route != nil && (route.KeyFile != "" || len(route.Options) > 0):
		return "", hint.New("the inventory has a key file or options of ssh for it, which are not sent to workers", "put them into the worker's ssh_config")
	}
	return PoolOf(t.Target)
}

// asked returns the host as a worker is asked for it.
func (h *host) asked() Host {
	t := h.attempt.Target
	a := Host{Host: t.Host, Index: t.Index, User: t.User, Port: t.Port, Command: []byte(h.attempt.Exec()), PTY: h.attempt.PTY, Limit: h.attempt.Limit, Aside: h.aside, Become: h.become, Wrapped: h.attempt.Line != "", At: h.attempt.At, Anew: h.attempt.Anew}
	if t.Route != nil {
		a.Address, a.HostKeyAlias = t.Route.Address, t.Route.HostKeyAlias
	}
	return a
}

// dialledAt returns the address to tell of a host that has a name: at, or that which the worker's
// ssh_config has for it. Behind a jump host there is none.
func (h *Host) dialledAt(t fleet.Target, at netip.AddrPort) netip.AddrPort {
	name := cmp.Or(h.Address, h.Host.Name)
	if _, err := netip.ParseAddr(name); err == nil {
		return netip.AddrPort{}
	}
	if r := t.Route; !at.IsValid() && r != nil && r.Via == nil && len(r.ProxyCommand) == 0 {
		if ip, err := netip.ParseAddr(r.Address); err == nil {
			return netip.AddrPortFrom(ip, t.Port)
		}
	}
	return at
}

// Start implements ssh.Conn.
func (h *host) Start(ctx context.Context, done func(fleet.End)) {
	h.done = done
	h.attempt.Timeline.Enter(fleet.PhaseExec)
	c := h.c
	c.mu.Lock()
	h.forget = context.AfterFunc(ctx, func() { h.abandon(context.Cause(ctx)) })
	c.active++
	stopped := c.state != stateRun
	if !stopped {
		if len(c.pending[h.pool]) == 0 {
			c.since[h.pool] = time.Now()
		}
		c.pending[h.pool] = append(c.pending[h.pool], h)
	}
	c.mu.Unlock()
	if stopped {
		h.interrupt()
		return
	}
	c.signal()
}

// abandon aborts the run, or gives up this host alone if that is why its context has ended: a further
// command has a time limit of its own.
func (h *host) abandon(cause error) {
	c := h.c
	if !errors.Is(cause, ssh.ErrByHand) && !h.aside && !c.Options.Pull { // a pull ends what answers nonsense
		c.aborts.Do(c.abort)
		return
	}
	c.mu.Lock()
	waits := slices.Contains(c.pending[h.pool], h)
	c.pending[h.pool] = slices.DeleteFunc(c.pending[h.pool], func(other *host) bool { return other == h })
	if !waits {
		h.givenUp, c.byHand = time.Now(), true
	}
	c.mu.Unlock()
	if !waits {
		h.sent() // it is in a shard, or will be
		signal(c.given)
		if !h.aside && errors.Is(cause, ssh.ErrByHand) {
			return // the log will say whether it has begun
		}
	}
	h.leave(cause)
}

// leave ends the attempt without its worker.
func (h *host) leave(cause error) {
	h.lose(fleet.End{Outcome: h.attempt.Execution.Interrupted(), Reason: fleet.ReasonInterrupted, Phase: h.attempt.Timeline.Phase(), Err: cause})
}

// sent reports that a worker may run the command from now on.
func (h *host) sent() {
	h.sending.Lock()
	defer h.sending.Unlock()
	e := &h.attempt.Execution
	if e.Left() {
		return // in an earlier shard
	}
	e.Queue(1)
	if e.Writing() {
		e.Wrote(1)
	}
}

// dialled reports where the worker has dialled the host, unless the attempt has ended.
func (h *host) dialled(at netip.AddrPort) {
	h.sending.Lock()
	defer h.sending.Unlock()
	if !h.ended && h.attempt.Dialled != nil {
		h.attempt.Dialled(at)
	}
}

// end ends the attempt with what the worker says, or with why there is nothing. Only the first call
// has an effect, and returns true.
func (h *host) end(end fleet.End, res *fleet.Result) (first bool) {
	h.once.Do(func() { first = true })
	if !first {
		return false
	}
	h.sending.Lock()
	h.ended = true
	h.sending.Unlock()
	// done may close the connection, which ends it once more.
	h.c.mu.Lock()
	forget := h.forget
	h.c.mu.Unlock()
	if forget != nil {
		forget()
	}
	e := &h.attempt.Execution
	switch {
	case end.Outcome.DidNotRun():
		e.NotStarted() // the log proves it
	case end.Outcome.Ran():
		e.Started()
	}
	if res != nil {
		if h.attempt.Elsewhere = res; res.BecomeOutput != "" {
			h.attempt.BecomeOutput = &res.BecomeOutput
		}
		h.write(h.attempt.Stdout, &res.Stdout)
		h.write(h.attempt.Stderr, &res.Stderr)
	}
	h.attempt.Timeline.Enter(end.Phase)
	if h.c.attached { // Results ends when nothing is active
		h.done(end)
	}
	h.c.mu.Lock()
	h.c.active--
	h.c.mu.Unlock()
	if !h.c.attached { // Close, which follows the last result, removes the log when nothing is active
		h.done(end)
	}
	return true
}

// write passes an output on, and leaves in it the size of what is not passed on.
func (*host) write(to io.Writer, o *fleet.Output) {
	if to != nil { // nobody wants to know
		_, _ = to.Write(o.Bytes) // as after any failed write, the result stays
	}
	o.Size, o.Bytes = o.Size-int64(len(o.Bytes)), nil
}

// interrupt ends the attempt because the run was stopped.
func (h *host) interrupt() {
	h.leave(errStopped)
}

// lose ends the attempt although its worker may still tell more: if it may have run, the log stays.
func (h *host) lose(end fleet.End) {
	count := func(n int) {
		h.c.mu.Lock()
		defer h.c.mu.Unlock()
		h.c.lost += n
	}
	if end.Outcome != fleet.OutcomeUnknown {
		h.end(end, nil)
		return
	}
	if h.aside { // it has its result
		h.end(end, nil)
		return
	}
	count(1) // before the run can end
	if !h.end(end, nil) {
		count(-1)
	}
}

var errStopped = errors.New("the run was stopped")

// StartNext implements ssh.Conn: no connection is kept, a worker makes another.
func (h *host) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	var through ssh.Dialer = h.c
	if h.c.Asker != nil { // the run may be stopped before
		through = h.c.Asker
	}
	conn, err := through.Dial(ctx, a)
	if err != nil {
		f, _ := errors.AsType[*fleet.Error](err) // Dial has no other
		done(f.End())
		return
	}
	next := conn.(*host)
	next.aside, next.become = true, h.become
	next.Start(ctx, done)
}

// Close implements ssh.Conn.
func (h *host) Close() error {
	if h.done != nil {
		h.interrupt()
	}
	return nil
}
