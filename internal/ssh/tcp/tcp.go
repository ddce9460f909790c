// Package tcp opens TCP connections to targets. It implements ssh.Network.
package tcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// A Dialer looks up names and connects, within the shorter of Timeouts.Dial and
// Timeouts.Connect. Timeouts must have its defaults filled in. It is safe for
// concurrent use.
type Dialer struct {
	Timeouts ssh.Timeouts
	Clock    *clock.Clock // for the timeouts; nil means the ordinary time
	// Connect looks up and connects instead, as net.Dialer.DialContext does. Targets that
	// have a local address or interface are refused then: it could not know. nil means TCP.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// Open implements ssh.Network. The phase resolve ends when the first connect
// begins, as ControlContext sees.
func (d Dialer) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	a.Timeline.Enter(fleet.PhaseResolve)
	if err := a.Target.Err(); err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	if s := a.Target.Settings(); d.Connect != nil && (s.Bind != "" || s.BindInterface != "") {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, errBound)
	}
	timeouts := d.Timeouts.For(a)
	now := d.Clock.Now()
	by, byConnect := now.Add(timeouts.Dial), false
	if connectBy := a.ConnectBy(now, timeouts.Connect); !connectBy.IsZero() && !connectBy.After(by) {
		by, byConnect = connectBy, true
	}
	_, err := netip.ParseAddr(a.Target.Dialled())
	named := err != nil
	if !named || a.At != nil {
		a.Timeline.Enter(fleet.PhaseDial)
	}
	conn, err := d.within(ctx, by, a.Target.Settings().Attempts, func(by time.Time) (net.Conn, error) {
		return d.dialBy(ctx, by, a)
	})
	if err != nil {
		f := sshreason.Dial(ctx, a, err)
		if byConnect && (f.Reason == fleet.ReasonDialTimeout || f.Reason == fleet.ReasonResolveTimeout) {
			f.Err = fmt.Errorf("%w: the %w of %v passed", f.Err, ssh.ErrConnectTimeout, timeouts.Connect)
		}
		return nil, f
	}
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); ok && named {
		at := remote.AddrPort()
		at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		a.Address = &at
	}
	return conn, nil
}

// address returns the host and port to dial.
func address(a *ssh.Attempt) string {
	if a.At != nil {
		return a.At.String()
	}
	return a.Target.Address()
}

var errBound = hint.New("BindAddress and BindInterface are not for connections that the calling program opens (Client.Dial)",
	"bind in Client.Dial, and leave the keywords out: Config.File \"none\", or a file without them")

// within dials until by, up to attempts times a second apart (ssh_config(5), ConnectionAttempts), and
// again if the deadline passed only because this process was stopped meanwhile.
func (d Dialer) within(ctx context.Context, by time.Time, attempts int, dial func(by time.Time) (net.Conn, error)) (net.Conn, error) {
	for tries := 1; ; {
		lost := d.Clock.Suspended()
		conn, err := dial(d.Clock.Deadline(by))
		timeout, ok := errors.AsType[net.Error](err)
		switch {
		case err == nil:
			return conn, nil
		case ok && timeout.Timeout() && d.Clock.Suspended() != lost && d.Clock.Now().Before(by):
		case tries >= attempts || !unreached(err) || !d.Clock.Now().Add(betweenAttempts).Before(by):
			return nil, err
		default:
			if !wait(ctx, betweenAttempts) {
				return nil, context.Cause(ctx)
			}
			tries++
		}
	}
}

const betweenAttempts = time.Second

// unreached reports whether the host could not be reached: not for want of its address, nor of
// something on this machine.
func unreached(err error) bool {
	for _, cause := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// wait reports whether the time passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dialBy dials until the deadline, with d.Connect if it is set, and sets TCP's keepalives.
func (d Dialer) dialBy(ctx context.Context, deadline time.Time, a *ssh.Attempt) (conn net.Conn, err error) {
	if d.Connect != nil {
		a.Timeline.Enter(fleet.PhaseDial)
		within, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		conn, err = d.Connect(within, cmp.Or(a.Target.Settings().Family, "tcp"), address(a))
	} else {
		conn, err = dialEither(ctx, deadline, a)
	}
	if err != nil || !a.Target.Settings().KeepAlive {
		return conn, err
	}
	if raw, ok := descriptor(conn); ok {
		// If it fails, SSH's own keepalives remain.
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1) })
	}
	return conn, nil
}

// dialEither dials with direct if that is equivalent.
func dialEither(ctx context.Context, deadline time.Time, a *ssh.Attempt) (net.Conn, error) {
	if address, err := netip.ParseAddr(a.Target.Dialled()); err == nil && plain(address, a.Target.Settings()) && a.Target.Port != 0 && a.At == nil {
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

// A ReadyReader is a connection that is read without memory for those who wait: thousands of
// connections wait for their servers.
type ReadyReader interface {
	net.Conn
	// ReadReady is Read into a *[]byte of buffers, which it takes when there is something to be
	// read. The caller gives it back; buf is nil if n is 0.
	ReadReady(buffers *sync.Pool) (buf *[]byte, n int, err error)
}

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
		local, err := localAddress(ctx, network, own.Bind)
		if err != nil {
			return nil, fmt.Errorf("finding the local address to connect from: %w", err)
		}
		tcp.LocalAddr = local
	}
	return tcp.DialContext(ctx, network, address(a))
}

// localAddress looks up an address of this machine, an IPv4 one first. Unlike
// net.ResolveTCPAddr it waits no longer than until ctx ends.
func localAddress(ctx context.Context, network, name string) (*net.TCPAddr, error) {
	all, err := net.DefaultResolver.LookupIPAddr(ctx, name)
	if err != nil {
		return nil, err
	}
	var best *net.TCPAddr
	for _, a := range all {
		is4 := a.IP.To4() != nil
		if network == "tcp4" && !is4 || network == "tcp6" && is4 {
			continue
		}
		if best == nil || is4 && best.IP.To4() == nil {
			best = &net.TCPAddr{IP: a.IP, Zone: a.Zone}
		}
	}
	if best == nil {
		return nil, &net.AddrError{Err: "no suitable address", Addr: name}
	}
	return best, nil
}
