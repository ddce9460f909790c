//go:build !linux

package simfleet

import "syscall"

// Away from Linux 127.0.0.1 alone is local, and so there is one host.
const (
	MaxHosts    = 1
	firstHost   = 0x7F000001
	listenerAny = "127.0.0.1"
)

func bindLoopback(_, _ string, _ syscall.RawConn) error { return nil }
