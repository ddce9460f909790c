package sshreason

import (
	"errors"
	"testing"
	"time"
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
