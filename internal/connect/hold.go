package connect

import (
	"cmp"
	"context"
	"iter"
	"sync"
	"time"

	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hold"
)

// A Hold holds connections for the plans that name it in their Options, one after the other or at
// the same time. known_hosts is read again for each plan.
type Hold struct {
	Pool *hold.Pool

	maxAge time.Duration // of connections to jump hosts; negative: no limit
	clock  *clock.Clock

	mu          sync.Mutex
	credentials *credentials // nil before the first plan
	dialer      *dialer      // of the Pool; nil before the first plan
}

// NewHold returns a Hold without a connection. Call Close after the last plan's.
func NewHold(o hold.Options) (*Hold, error) {
	p, err := hold.New(o)
	if err != nil {
		return nil, err
	}
	return &Hold{Pool: p, maxAge: cmp.Or(o.MaxAge, hold.DefaultMaxAge), clock: clock.New()}, nil
}

// connect returns the Pool as the Dialer for planned targets.
func (h *Hold) connect(ctx context.Context, o Options, endpoints iter.Seq[*ssh.Endpoint]) (*connections, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.Engine.Clock = h.clock
	if p, ok := o.Passwords.(interface{ Renew() }); ok { // of all plans
		p.Renew()
	}
	if err := h.begin(ctx, &o, endpoints); err != nil {
		return nil, err
	}
	known, err := h.credentials.prepare(ctx, o, endpoints)
	if err != nil {
		return nil, err
	}
	if h.maxAge > 0 {
		h.dialer.network.Retire(h.maxAge)
	}
	h.Pool.Use(known, h.credentials.keyring)
	return &connections{h.Pool, func() {}}, nil
}

// begin makes the Dialer, the first time. mu must be held.
func (h *Hold) begin(ctx context.Context, o *Options, endpoints iter.Seq[*ssh.Endpoint]) error {
	if h.credentials != nil {
		h.credentials.keyring.Renew(ctx)
		h.credentials.agents.Renew(ctx)
		return nil
	}
	c, err := o.credentials(ctx, endpoints)
	if err != nil {
		return err
	}
	d, err := o.dialer(h.Pool.HostKeys(), c.keyring, c.agents)
	if err != nil {
		c.close()
		return err
	}
	h.Pool.SetDialer(d)
	h.credentials, h.dialer = c, d
	return nil
}

// Refresh closes all idle connections and has those in use closed after their commands, also those to
// jump hosts: what is dialled from now on logs in anew everywhere.
func (h *Hold) Refresh() {
	h.mu.Lock()
	if h.dialer != nil {
		h.dialer.network.Retire(0)
	}
	h.mu.Unlock()
	h.Pool.Refresh()
}

// Close closes all connections.
func (h *Hold) Close() error {
	h.Pool.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.clock.Close()
	if h.credentials == nil {
		return nil
	}
	err := h.dialer.close()
	h.credentials.close()
	return err
}
