package connect

import (
	"context"
	"iter"
	"sync"

	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hold"
)

// A Hold holds connections for the plans that name it in their Options, one after the other or at
// the same time. known_hosts is read again for each plan.
type Hold struct {
	Pool *hold.Pool

	clock *clock.Clock

	mu          sync.Mutex
	credentials *credentials // nil before the first plan
	close       func() error // of the Dialer
}

// NewHold returns a Hold without a connection. Call Close after the last plan's.
func NewHold(o hold.Options) (*Hold, error) {
	p, err := hold.New(o)
	if err != nil {
		return nil, err
	}
	return &Hold{Pool: p, clock: clock.New()}, nil
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
	h.Pool.Use(known, h.credentials.keyring)
	return &connections{h.Pool, func() {}}, nil
}

// begin makes the Dialer, the first time. mu must be held.
func (h *Hold) begin(ctx context.Context, o *Options, endpoints iter.Seq[*ssh.Endpoint]) error {
	if h.credentials != nil {
		h.credentials.keyring.Renew(ctx)
		return nil
	}
	c, err := o.credentials(ctx, endpoints)
	if err != nil {
		return err
	}
	d, closeDialer, err := o.dialer(h.Pool.HostKeys(), c.keyring, c.agents)
	if err != nil {
		c.close()
		return err
	}
	h.Pool.SetDialer(d)
	h.credentials, h.close = c, closeDialer
	return nil
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
	err := h.close()
	h.credentials.close()
	return err
}
