package client

import (
	"context"
	"sync"

	"shoal/fleet"
	"shoal/internal/ssh/tcp"
)

// eventDrivers drive connections while their command runs: TCP connections in an
// event loop, which is started with the first of them, others on a goroutine each.
type eventDrivers struct {
	drivers drivers

	mu         sync.Mutex
	goroutines bool // there is and will be no loop
	loop       *loop
}

func newParking(p Park) *eventDrivers { return &eventDrivers{goroutines: p == ParkGoroutine} }

func (p *eventDrivers) park(ctx context.Context, c *conn, done func(fleet.End)) {
	if raw, ok := tcp.Descriptor(c.session.link.conn); ok {
		if l := p.running(); l != nil && l.add(ctx, c, raw, done) {
			return
		}
	}
	p.drivers.start(ctx, c, done)
}

// running returns the loop, or nil if there can be none.
func (p *eventDrivers) running() *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loop == nil && !p.goroutines {
		l, err := newLoop()
		if err != nil {
			p.goroutines = true
			return nil
		}
		p.loop = l
	}
	return p.loop
}

func (p *eventDrivers) close() error {
	p.mu.Lock()
	l := p.loop
	p.loop, p.goroutines = nil, true
	p.mu.Unlock()
	var err error
	if l != nil {
		err = l.close()
	}
	p.drivers.close()
	return err
}
