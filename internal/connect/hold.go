package connect

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/hold"
	"shoal/internal/ssh/hostkeys"
)

// A Hold holds connections for the plans that name it in their Options, one after the other or at
// the same time. known_hosts is read again for each plan.
type Hold struct {
	Pool *hold.Pool

	clock *clock.Clock

	mu      sync.Mutex
	keyring *auth.Keyring // nil before the first plan
	agents  *auth.Forwarder
	close   func() error // of the Dialer
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
	if err := h.begin(ctx, &o, endpoints); err != nil {
		return nil, err
	}
	known, told := hostkeys.NewVerifier(), len(h.keyring.Notices())
	if endpoints != nil {
		if err := prepare(ctx, endpoints, known, h.keyring); err != nil {
			return nil, err
		}
		if err := o.checkForwarded(ctx, endpoints, h.agents); err != nil {
			return nil, err
		}
	}
	for _, p := range known.Problems() {
		o.notice(p.Error())
	}
	for _, n := range h.keyring.Notices()[told:] {
		o.notice(n)
	}
	h.Pool.Use(known)
	return &connections{h.Pool, func() {}}, nil
}

// begin makes the Dialer, the first time. mu must be held.
func (h *Hold) begin(ctx context.Context, o *Options, endpoints iter.Seq[*ssh.Endpoint]) error {
	if h.keyring != nil {
		return nil
	}
	keyring, err := auth.NewKeyring(auth.KeyringOptions{Passphrase: o.Passphrase, MaxKeys: o.MaxKeys})
	if err != nil {
		return fmt.Errorf("loading identities: %w", err)
	}
	agents, err := auth.NewForwarder(o.Forwarding)
	if err == nil {
		if err = o.checkNamed(ctx, keyring, batch(endpoints)); err == nil {
			var d ssh.Dialer
			if d, h.close, err = o.dialer(h.Pool.HostKeys(), keyring, agents); err == nil {
				h.Pool.SetDialer(d)
				h.keyring, h.agents = keyring, agents
				return nil
			}
		}
		_ = agents.Close()
	}
	_ = keyring.Close()
	return err
}

// Close closes all connections.
func (h *Hold) Close() error {
	h.Pool.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.clock.Close()
	if h.keyring == nil {
		return nil
	}
	err := h.close()
	_ = h.keyring.Close()
	_ = h.agents.Close()
	return err
}
