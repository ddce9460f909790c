//go:build !linux

package client

import (
	"context"

	"shoal/fleet"
)

// A parking is where connections wait for their command: here, each on a
// goroutine.
type eventDrivers struct{ drivers drivers }

func newParking(Park) *eventDrivers { return &eventDrivers{} }

func (p *eventDrivers) park(ctx context.Context, c *conn, done func(fleet.End)) {
	p.drivers.start(ctx, c, done)
}

func (p *eventDrivers) close() error {
	p.drivers.close()
	return nil
}
