//go:build !linux

package tcp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

func bindTo(_ syscall.RawConn, name string) error {
	return fmt.Errorf("binding to the interface %q: this system cannot", name)
}

func boundUnacknowledged(syscall.RawConn) error { return nil }

// direct leaves all connections to net.Dialer.
func direct(context.Context, netip.AddrPort, time.Time) (net.Conn, bool, error) {
	return nil, false, nil
}

func descriptor(c net.Conn) (syscall.RawConn, bool) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	raw, err := tcp.SyscallConn()
	return raw, err == nil
}
