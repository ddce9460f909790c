//go:build !linux

package client

import (
	"context"

	"shoal/fleet"
)

// A parking is where connections wait for their command: here, each on a
// goroutine.
type parking struct{ drivers drivers }

func newParking(Park) *parking { return &parking{} }

func (p *parking) park(ctx context.Context, c *conn, done func(fleet.End)) {
	p.drivers.start(ctx, c, done)
}

func (p *parking) close() error {
	p.drivers.close()
	return nil
}
