package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
)

// A large file is hashed as a whole, whatever its size in parts.
func TestDigestOfParts(t *testing.T) {
	for _, size := range []int{aheadSize - 1, aheadSize, aheadSize + 1, 9*aheadSize + 5} {
		want := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, size/7+1)[:size]
		name := filepath.Join(t.TempDir(), "input")
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		checkFile(t, name, want)
	}
}

func TestCopyAhead(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 3*aheadSize/16)
	broken := errors.New("broken disk")
	var got bytes.Buffer
	if n, err := copyAhead(&got, iotest.DataErrReader(bytes.NewReader(text))); n != int64(len(text)) || err != nil || !bytes.Equal(got.Bytes(), text) {
		t.Errorf("%d bytes, %v", n, err)
	}
	got.Reset()
	r := io.MultiReader(bytes.NewReader(text), iotest.ErrReader(broken))
	if n, err := copyAhead(&got, r); n != int64(len(text)) || !errors.Is(err, broken) || !bytes.Equal(got.Bytes(), text) {
		t.Errorf("broken read: %d bytes, %v", n, err)
	}
	full := writerFunc(func(p []byte) (int, error) { return 7, broken })
	if n, err := copyAhead(full, bytes.NewReader(text)); n != 7 || !errors.Is(err, broken) {
		t.Errorf("broken write: %d bytes, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := copyAhead(io.Discard, reader{ctx, bytes.NewReader(text)}); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %d bytes, %v", n, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
