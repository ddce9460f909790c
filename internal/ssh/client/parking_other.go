//go:build !linux

package client

import (
	"context"

	"shoal/fleet"
)

// eventDrivers drive connections while their command runs: here, each on a
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
