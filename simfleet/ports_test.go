package simfleet

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// faults.md: T03
func TestRefusedPort(t *testing.T) {
	addr, free, err := RefusedPort()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", addr.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling: %v, want %v", err, syscall.ECONNREFUSED)
	}
	if _, err := net.Listen("tcp", addr.String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening: %v, want %v", err, syscall.EADDRINUSE)
	}
	if err := free(); err != nil {
		t.Error(err)
	}
}

// faults.md: T02
func TestBlackhole(t *testing.T) {
	addr, free, err := Blackhole()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for range 4 {
		if _, err := new(net.Dialer).DialContext(ctx, "tcp", addr.String()); !errors.Is(err, os.ErrDeadlineExceeded) &&
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialling: %v, want the deadline", err)
		}
	}
	if err := free(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", addr.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling after free: %v, want %v", err, syscall.ECONNREFUSED)
	}
}
