package sshreason

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
)

func TestStopped(t *testing.T) {
	if err := Stopped(ErrClosed, 0); err != ErrClosed { //nolint:errorlint // it is to be the same
		t.Errorf("%v", err)
	}
	err := Stopped(ErrClosed, 62_900*time.Millisecond)
	if want := "the server closed the connection; this process had been stopped for 1m3s meanwhile"; err.Error() != want || !errors.Is(err, ErrClosed) {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestLink(t *testing.T) {
	for err, want := range map[error]fleet.Reason{
		syscall.ETIMEDOUT: fleet.ReasonVanished, syscall.EHOSTUNREACH: fleet.ReasonVanished, syscall.ECONNRESET: fleet.ReasonConnReset,
		io.EOF: fleet.ReasonConnClosed, os.ErrDeadlineExceeded: fleet.ReasonNone,
	} {
		if r, named, ok := Link(fmt.Errorf("reading: %w", err)); r != want || ok != (want != fleet.ReasonNone) {
			t.Errorf("%v: %s, %v, %t; want %s", err, r, named, ok, want)
		}
	}
	if err := Ended(syscall.ETIMEDOUT, io.EOF); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("%v", err)
	}
	if err := Ended(syscall.EPIPE, ErrClosed); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}
