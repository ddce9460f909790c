// Package tcp opens TCP connections to targets. It implements connect.Network.
package tcp

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"shoal/connect"
	"shoal/connect/cause"
	"shoal/fleet"
)

// A Dialer looks names up and connects, within Timeouts.Dial or, where that is
// shorter, Timeouts.Connect; both are taken as they are, so that they have to be
// filled in. It is safe for concurrent use.
type Dialer struct {
	Timeouts connect.Timeouts
}

// Open implements connect.Network. The look-up ends when the first connect
// begins, which ControlContext sees.
func (d Dialer) Open(ctx context.Context, a *connect.Attempt) (net.Conn, error) {
	limit := d.Timeouts.Dial
	if c := d.Timeouts.Connect; c > 0 {
		limit = min(limit, c)
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a.Timeline.Enter(fleet.PhaseResolve)
	if _, err := netip.ParseAddr(a.Target.Dialled()); err == nil {
		a.Timeline.Enter(fleet.PhaseDial)
	}
	tcp := net.Dialer{
		ControlContext: func(context.Context, string, string, syscall.RawConn) error {
			if a.Timeline.Phase() == fleet.PhaseResolve {
				a.Timeline.Enter(fleet.PhaseDial)
			}
			return nil
		},
	}
	conn, err := tcp.DialContext(within, "tcp", a.Target.Address())
	if err != nil {
		return nil, cause.Dial(ctx, a, err)
	}
	return conn, nil
}
