//go:build !linux

package express

import (
	"context"

	"shoal/fleet"
)

// A parking is where connections wait for their command: here, each on a
// goroutine.
type parking struct{}

func newParking(Park) *parking { return &parking{} }

func (p *parking) park(ctx context.Context, c *conn, done func(fleet.End)) {
	go c.dialer.drive(ctx, c, done)
}

func (p *parking) close() error { return nil }
