package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// Both ways to connect to an address have the same result.
func ways() map[string]func(context.Context, *testing.T, netip.AddrPort, time.Duration) (net.Conn, error) {
	return map[string]func(context.Context, *testing.T, netip.AddrPort, time.Duration) (net.Conn, error){
		"direct": func(ctx context.Context, t *testing.T, to netip.AddrPort, limit time.Duration) (net.Conn, error) {
			c, ok, err := direct(ctx, to, time.Now().Add(limit))
			if !ok {
				t.Error("it was left to net.Dialer")
			}
			return c, err
		},
		"net.Dialer": func(ctx context.Context, _ *testing.T, to netip.AddrPort, limit time.Duration) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			target := fleet.Target{Host: fleet.Host{Name: to.Addr().String()}, Port: to.Port()}
			return dial(ctx, &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: target}})
		},
	}
}

func TestConnects(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for name, open := range ways() {
			t.Run(name+"/"+address, func(t *testing.T) {
				l := listen(t, address)
				to := l.Addr().(*net.TCPAddr).AddrPort()
				c, err := open(t.Context(), t, to, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				peer, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = peer.Close() }()
				if got := c.LocalAddr().String(); got != peer.RemoteAddr().String() {
					t.Errorf("local address %v, the peer sees %v", got, peer.RemoteAddr())
				}
				if got := c.RemoteAddr().String(); got != to.String() {
					t.Errorf("remote address %v, want %v", got, to)
				}
				holds(t, c)
				talks(t, c, peer)
			})
		}
	}
}

// holds checks the socket's options.
func holds(t *testing.T, c net.Conn) {
	t.Helper()
	raw, ok := Descriptor(c)
	if !ok {
		t.Fatal("it has no descriptor")
	}
	for option, want := range map[int]int{unix.TCP_NODELAY: 1, unix.TCP_USER_TIMEOUT: 60_000} {
		err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want {
				t.Errorf("TCP option %d is %d (%v), want %d", option, got, err, want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// talks checks what Read, Write, deadlines and Close promise.
func talks(t *testing.T, c, peer net.Conn) {
	t.Helper()
	buf := make([]byte, 8)
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if n, err := peer.Read(buf); string(buf[:n]) != "ping" || err != nil {
		t.Fatalf("the peer read %q, %v", buf[:n], err)
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read past its deadline: %v", err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write([]byte("pong")); err != nil {
		t.Fatal(err)
	}
	_ = peer.Close()
	if got, err := io.ReadAll(c); string(got) != "pong" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	_, readErr := c.Read(buf)
	_, writeErr := c.Write(buf)
	for _, err := range []error{readErr, writeErr, c.Close(), c.SetDeadline(time.Time{})} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: got %v, want %v", err, net.ErrClosed)
		}
	}
}

// faults.md: R05 R06 R07 R08 T03
func TestRefusals(t *testing.T) {
	refused, free, err := simfleet.RefusedPort()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free() }()
	hole, freeHole, err := simfleet.Blackhole()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = freeHole() }()
	for _, c := range []struct {
		name  string
		to    netip.AddrPort
		limit time.Duration
		cause error
	}{
		{"refused", refused, time.Minute, syscall.ECONNREFUSED},
		{"late", hole, 20 * time.Millisecond, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			texts := make(map[string]string)
			for name, open := range ways() {
				conn, err := open(t.Context(), t, c.to, c.limit)
				if err == nil {
					_ = conn.Close()
					t.Fatalf("%s: connected", name)
				}
				if c.cause != nil && !errors.Is(err, c.cause) {
					t.Errorf("%s: got %v, want %v", name, err, c.cause)
				}
				texts[name] = err.Error()
			}
			if texts["direct"] != texts["net.Dialer"] {
				t.Errorf("direct says %q, net.Dialer %q", texts["direct"], texts["net.Dialer"])
			}
		})
	}
}

// The end of a run ends the wait, and is the error's cause.
func TestInterrupted(t *testing.T) {
	hole, free, err := simfleet.Blackhole()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free() }()
	for name, when := range map[string]time.Duration{"before": 0, "while it waits": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop := time.AfterFunc(when, cancel)
			defer stop.Stop()
			if when == 0 {
				cancel()
			}
			a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: hole.Addr().String()}, Port: hole.Port()}}}
			_, err := Dialer{Timeouts: ssh.Timeouts{Dial: time.Minute}}.Open(ctx, a)
			f, ok := errors.AsType[*fleet.Error](err)
			if !ok || f.Outcome != fleet.OutcomeCancelled || f.Reason != fleet.ReasonInterrupted {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A socket that is its own peer is detected by its addresses.
func TestConnectedToItself(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	to := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	address := &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	if err := errors.Join(unix.Bind(fd, address), unix.Connect(fd, address)); err != nil {
		t.Fatal(err)
	}
	if !connectedToItself(fd, to) {
		t.Error("a socket that is its own peer was not found")
	}
	if connectedToItself(fd, netip.AddrPortFrom(to.Addr(), to.Port()+1)) {
		t.Error("another was taken for one")
	}
}

// Settings and addresses that need more than a plain socket are left to net.Dialer.
func TestPlain(t *testing.T) {
	for _, c := range []struct {
		address string
		own     ssh.Settings
		want    bool
	}{
		{"192.0.2.1", ssh.Settings{}, true},
		{"2001:db8::1", ssh.Settings{}, true},
		{"192.0.2.1", ssh.Settings{Bind: "192.0.2.2"}, false},
		{"192.0.2.1", ssh.Settings{BindInterface: "lo"}, false},
		{"192.0.2.1", ssh.Settings{Family: "tcp6"}, false},
		{"::ffff:192.0.2.1", ssh.Settings{}, false},
		{"fe80::1%lo", ssh.Settings{}, false},
		{"0.0.0.0", ssh.Settings{}, false},
		{"::", ssh.Settings{}, false},
	} {
		if got := plain(netip.MustParseAddr(c.address), &c.own); got != c.want {
			t.Errorf("%s, %+v: %v", c.address, c.own, got)
		}
	}
}

// Errors of a connection name the peer, as those of package net do.
func TestErrorsNameThePeer(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	to := l.Addr().(*net.TCPAddr).AddrPort()
	c, ok, err := direct(t.Context(), to, time.Now().Add(time.Minute))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	peer, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(peer.SetLinger(0), peer.Close()); err != nil { // RST
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	if want := "read tcp " + to.String() + ": connection reset by peer"; err == nil || err.Error() != want || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want %q", err, want)
	}
	if c.RemoteAddr().String() != to.String() || c.Close() != nil {
		t.Errorf("the peer is %v, want %v", c.RemoteAddr(), to)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A buffer is taken when there is something to read, and is given back if there is not.
func TestReadReady(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	c, ok, err := direct(t.Context(), l.Addr().(*net.TCPAddr).AddrPort(), time.Now().Add(time.Minute))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	peer, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	var taken int
	r, buffers := c.(ReadyReader), &sync.Pool{New: func() any { taken++; b := make([]byte, 4); return &b }}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if buf, n, err := r.ReadReady(buffers); buf != nil || n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v, %d bytes, %v", buf, n, err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = peer.Write([]byte("hello")) }()
	var got []byte
	for len(got) < 5 {
		buf, n, err := r.ReadReady(buffers)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, (*buf)[:n]...)
	}
	if string(got) != "hello" {
		t.Errorf("read %q", got)
	}
	if err := errors.Join(peer.SetLinger(0), peer.Close()); err != nil { // RST
		t.Fatal(err)
	}
	_, _, err = r.ReadReady(buffers)
	if _, ok := errors.AsType[*net.OpError](err); !ok || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset: %v", err)
	}
	if buf, n, err := r.ReadReady(buffers); buf != nil || n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, %d bytes, %v", buf, n, err)
	}
	_ = c.Close()
	if _, _, err := r.ReadReady(buffers); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if taken == 0 {
		t.Error("no buffer was taken")
	}
}
