// Package tcp opens TCP connections to targets. It implements ssh.Network.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A Dialer looks up names and connects, within the shorter of Timeouts.Dial and
// Timeouts.Connect. Timeouts must have its defaults filled in. It is safe for
// concurrent use.
type Dialer struct {
	Timeouts ssh.Timeouts
	Clock    *clock.Clock // for the timeouts; nil means the ordinary time
}

// Open implements ssh.Network. The phase resolve ends when the first connect
// begins, as ControlContext sees.
func (d Dialer) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	a.Timeline.Enter(fleet.PhaseResolve)
	if err := a.Target.Err(); err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	timeouts := d.Timeouts.For(a)
	now := d.Clock.Now()
	by, byConnect := now.Add(timeouts.Dial), false
	if connectBy := a.ConnectBy(now, timeouts.Connect); !connectBy.IsZero() && !connectBy.After(by) {
		by, byConnect = connectBy, true
	}
	if _, err := netip.ParseAddr(a.Target.Dialled()); err == nil {
		a.Timeline.Enter(fleet.PhaseDial)
	}
	conn, err := d.within(ctx, by, a)
	if err != nil {
		f := sshreason.Dial(ctx, a, err)
		if byConnect && (f.Reason == fleet.ReasonDialTimeout || f.Reason == fleet.ReasonResolveTimeout) {
			f.Err = fmt.Errorf("%w: the %w of %v passed", f.Err, ssh.ErrConnectTimeout, timeouts.Connect)
		}
		return nil, f
	}
	return conn, nil
}

// within dials until by, and dials again if the deadline passed only because this process
// was stopped meanwhile.
func (d Dialer) within(ctx context.Context, by time.Time, a *ssh.Attempt) (net.Conn, error) {
	for {
		lost := d.Clock.Suspended()
		conn, err := dialBy(ctx, d.Clock.Deadline(by), a)
		timeout, ok := errors.AsType[net.Error](err)
		if !ok || !timeout.Timeout() || d.Clock.Suspended() == lost || !d.Clock.Now().Before(by) {
			return conn, err
		}
	}
}

// dialBy dials until the deadline, with direct if it is equivalent.
func dialBy(ctx context.Context, deadline time.Time, a *ssh.Attempt) (net.Conn, error) {
	if address, err := netip.ParseAddr(a.Target.Dialled()); err == nil && plain(address, a.Target.Settings()) && a.Target.Port != 0 {
		conn, ok, err := direct(ctx, netip.AddrPortFrom(address, a.Target.Port), deadline)
		if ok {
			return conn, err
		}
	}
	within, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return dial(within, a)
}

// plain reports whether direct can connect to a: an ordinary address without socket
// options.
func plain(a netip.Addr, s *ssh.Settings) bool {
	return s.Bind == "" && s.BindInterface == "" && s.Family == "" &&
		!a.Is4In6() && a.Zone() == "" && !a.IsUnspecified()
}

// Descriptor returns the socket of a connection that is a bare socket, so that the
// caller may bypass the net.Conn. ok is false for all others, such as those that
// count or trace bytes.
func Descriptor(c net.Conn) (raw syscall.RawConn, ok bool) { return descriptor(c) }

// unacknowledged is how long the kernel waits for acknowledgement of sent data
// before it drops the connection: 60 s.
const unacknowledged = time.Minute

func dial(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	own := a.Target.Settings()
	tcp := net.Dialer{
		ControlContext: func(_ context.Context, _, _ string, raw syscall.RawConn) error {
			if a.Timeline.Phase() == fleet.PhaseResolve {
				a.Timeline.Enter(fleet.PhaseDial)
			}
			if own.BindInterface != "" {
				if err := bindTo(raw, own.BindInterface); err != nil {
					return err
				}
			}
			return boundUnacknowledged(raw)
		},
		// The SSH layer sends keepalives; TCP's own would cost four system calls per
		// connection and tell less.
		KeepAlive: -1,
	}
	network := "tcp"
	if own.Family != "" {
		network = own.Family
	}
	if own.Bind != "" {
		local, err := net.ResolveTCPAddr(network, net.JoinHostPort(own.Bind, "0"))
		if err != nil {
			return nil, fmt.Errorf("finding the local address to connect from: %w", err)
		}
		tcp.LocalAddr = local
	}
	return tcp.DialContext(ctx, network, a.Target.Address())
}
