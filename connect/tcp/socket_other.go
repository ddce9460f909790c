//go:build !linux

package tcp

import (
	"fmt"
	"syscall"
)

func bindTo(_ syscall.RawConn, name string) error {
	return fmt.Errorf("binding to the interface %q: this system cannot", name)
}

func boundUnacknowledged(syscall.RawConn) error { return nil }
