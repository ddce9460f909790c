package connect

import (
	"context"
	"fmt"
	"net"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/persist"
)

// A Persist says how another process holds connections; see package internal/ssh/persist.
type Persist struct {
	// Connect connects to the process, and may start it.
	Connect func(context.Context) (net.Conn, error)
	// Idle is how long the process stays after its last run.
	Idle time.Duration
	// MaxAge is how long after its login a connection is used. 0 means hold.DefaultMaxAge.
	MaxAge time.Duration
	// Without, if not "", is why the process is not used after all.
	Without fleet.DialReason
}

// before returns a Dialer before local, which it uses for what the process does not dial, and for
// everything if there is no process.
func (p *Persist) before(ctx context.Context, o Options, local ssh.Dialer, keys ssh.HostKeys, identities ssh.Identities) (ssh.Dialer, func()) {
	if p.Without != "" {
		return persist.Without(local, p.Without), func() {}
	}
	d, err := p.open(ctx, persist.Options{
		HostKeys: keys, Identities: identities, Local: local, Passwords: o.Passwords != nil, Timeouts: o.Timeouts, Clock: o.Engine.Clock,
		Pipeline: o.Pipeline, Classical: o.Classical, StateDir: o.StateDir, MaxAge: p.MaxAge, Idle: p.Idle,
	})
	if err != nil {
		o.notice(fmt.Sprintf("no process holds connections, so that each host is dialled: %v", err))
		return persist.Without(local, fleet.DialHolder), func() {}
	}
	return d, func() { _ = d.Close() }
}

// open connects to the process, and once more to its successor if it was about to end.
func (p *Persist) open(ctx context.Context, o persist.Options) (*persist.Dialer, error) {
	const most = 20
	for try := 1; ; try++ {
		c, err := p.Connect(ctx)
		if err != nil {
			return nil, err
		}
		d, err := persist.New(ctx, c, o)
		if err == nil || try == most || !persist.Gone(err) {
			return d, err
		}
		time.Sleep(time.Duration(try) * time.Millisecond) // until it has released its lock
	}
}
