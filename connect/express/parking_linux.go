package express

import (
	"context"
	"net"
	"sync"

	"shoal/fleet"
)

// A parking is where connections wait for their command: TCP connections in an
// event loop, which is started with the first of them, others on a goroutine
// each.
type parking struct {
	goroutines bool

	mu   sync.Mutex
	loop *loop
}

func newParking(p Park) *parking { return &parking{goroutines: p == ParkGoroutine} }

func (p *parking) park(ctx context.Context, c *conn, done func(fleet.End)) {
	if tcp, ok := c.session.link.conn.(*net.TCPConn); ok && !p.goroutines {
		if l := p.running(); l != nil && l.add(ctx, c, tcp, done) {
			return
		}
	}
	go c.dialer.drive(ctx, c, done)
}

// running gives the loop, nil where there can be none.
func (p *parking) running() *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loop == nil {
		l, err := newLoop()
		if err != nil {
			p.goroutines = true
			return nil
		}
		p.loop = l
	}
	return p.loop
}

func (p *parking) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loop == nil {
		return nil
	}
	err := p.loop.close()
	p.loop = nil
	return err
}
