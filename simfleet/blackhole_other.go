//go:build !linux

package simfleet

import (
	"errors"
	"fmt"
	"net/netip"
)

// Blackhole is there on Linux only; the error is errors.ErrUnsupported.
func Blackhole() (addr netip.AddrPort, free func() error, err error) {
	return addr, nil, fmt.Errorf("making a black hole: %w", errors.ErrUnsupported)
}
