package tcp

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

func dialError(err error) error {
	return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)}
}

func listen(t *testing.T, address string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

// ConnectionAttempts: connects that fail are repeated a second apart, within the time for all.
func TestAttempts(t *testing.T) {
	refused := dialError(syscall.ECONNREFUSED)
	stopped := errors.New("stopped")
	for name, c := range map[string]struct {
		attempts int
		limit    time.Duration
		errs     []error // of the first dials; later ones succeed
		stop     time.Duration
		dials    int
		took     time.Duration
		want     error
	}{
		"none set":         {0, time.Minute, []error{refused}, 0, 1, 0, syscall.ECONNREFUSED},
		"one":              {1, time.Minute, []error{refused}, 0, 1, 0, syscall.ECONNREFUSED},
		"the third":        {3, time.Minute, []error{refused, dialError(syscall.EHOSTUNREACH)}, 0, 3, 2 * time.Second, nil},
		"none":             {3, time.Minute, []error{refused, refused, refused, refused}, 0, 3, 2 * time.Second, syscall.ECONNREFUSED},
		"the time is over": {99, 3500 * time.Millisecond, []error{refused, refused, refused, refused, refused}, 0, 4, 3 * time.Second, syscall.ECONNREFUSED},
		"no such name":     {3, time.Minute, []error{&net.DNSError{IsNotFound: true}}, 0, 1, 0, nil},
		"our own files":    {3, time.Minute, []error{dialError(syscall.EMFILE)}, 0, 1, 0, syscall.EMFILE},
		"the run is over":  {9, time.Minute, []error{refused, refused, refused}, 1500 * time.Millisecond, 2, 1500 * time.Millisecond, stopped},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				if c.stop > 0 {
					time.AfterFunc(c.stop, func() { cancel(stopped) })
				}
				begun, dials := time.Now(), 0
				conn, err := Dialer{}.within(ctx, begun.Add(c.limit), c.attempts, func(time.Time) (net.Conn, error) {
					if dials++; dials <= len(c.errs) {
						return nil, c.errs[dials-1]
					}
					return new(net.TCPConn), nil
				})
				cancel(nil)
				if dials != c.dials || time.Since(begun) != c.took {
					t.Errorf("dialled %d times in %v, want %d in %v", dials, time.Since(begun), c.dials, c.took)
				}
				if ok := dials > len(c.errs); (conn != nil) != ok || (err == nil) != ok || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("%v, %v; want %v", conn, err, c.want)
				}
			})
		})
	}
}

// TCPKeepAlive yes sets SO_KEEPALIVE; it is not set otherwise.
func TestKeepAlive(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	for _, c := range []struct {
		settings *ssh.Settings
		connect  func(context.Context, string, string) (net.Conn, error)
		want     int
	}{
		{nil, nil, 0},
		{&ssh.Settings{KeepAlive: true}, nil, 1},
		{&ssh.Settings{Family: "tcp4"}, nil, 0}, // by net.Dialer
		{&ssh.Settings{Family: "tcp4", KeepAlive: true}, nil, 1},
		{&ssh.Settings{KeepAlive: true}, (&net.Dialer{KeepAlive: -1}).DialContext, 1},
	} {
		target := fleet.Target{Host: fleet.Host{Name: "127.0.0.1"}, Port: port}
		d := Dialer{Timeouts: ssh.Timeouts{}.WithDefaults(), Connect: c.connect}
		conn, err := d.Open(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: target, Endpoint: &ssh.Endpoint{Settings: c.settings}}})
		if err != nil {
			t.Fatal(err)
		}
		raw, ok := Descriptor(conn)
		if !ok {
			t.Fatalf("%T has no descriptor", conn)
		}
		got := -1
		if e := raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE) }); e != nil || err != nil {
			t.Fatal(e, err)
		}
		if got != c.want {
			t.Errorf("%+v: SO_KEEPALIVE is %d, want %d", c.settings, got, c.want)
		}
		_ = conn.Close()
	}
}

// A program that opens the connections itself does not learn from where it is to connect: the
// target is refused, and nothing is dialled.
func TestBoundWithConnect(t *testing.T) {
	for _, settings := range []ssh.Settings{{Bind: "127.0.0.2"}, {BindInterface: "lo"}} {
		d := Dialer{Timeouts: ssh.Timeouts{}.WithDefaults(), Connect: func(_ context.Context, _, address string) (net.Conn, error) {
			t.Errorf("dialled %s", address)
			return nil, syscall.ECONNREFUSED
		}}
		target := ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "h"}, Port: 22}, Endpoint: &ssh.Endpoint{Settings: &settings}}
		_, err := d.Open(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: target})
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonBadTarget || !strings.Contains(err.Error(), "BindAddress and BindInterface") {
			t.Errorf("%+v: %v", settings, err)
		}
	}
}

// The name of the local address is looked up within the time for the dial.
func TestBindAddress(t *testing.T) {
	resolver := net.DefaultResolver
	defer func() { net.DefaultResolver = resolver }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	// The first look-up makes channels of package net's, which must not belong to the bubble: other
	// tests look names up outside of it. This one is answered by a file.
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "localhost"); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{
			Target:   fleet.Target{Host: fleet.Host{Name: "192.0.2.1"}, Port: 22},
			Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{Bind: "no.such.name.example"}},
		}}
		begun := time.Now()
		_, err := Dialer{Timeouts: ssh.Timeouts{Dial: time.Second}}.Open(t.Context(), a)
		if took := time.Since(begun); err == nil || took != time.Second {
			t.Errorf("took %v, want 1s: %v", took, err)
		}
	})
	for bind, want := range map[string]string{"127.0.0.3": "127.0.0.3", "::1": "::1", "fe80::1%lo": "fe80::1%lo"} {
		local, err := localAddress(t.Context(), "tcp", bind)
		if err != nil || local.AddrPort().Addr().Unmap().String() != want {
			t.Errorf("%s: %v, %v; want %s", bind, local, err, want)
		}
	}
	if local, err := localAddress(t.Context(), "tcp4", "::1"); err == nil {
		t.Errorf("tcp4 took %v", local)
	}
}
