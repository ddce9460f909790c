package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

func check(t *testing.T, in *Input, want []byte) {
	t.Helper()
	if in.Size() != int64(len(want)) || in.Digest() != fmt.Sprintf("%x", sha256.Sum256(want)) {
		t.Errorf("%d bytes, %s", in.Size(), in.Digest())
	}
	for range 2 {
		got, err := io.ReadAll(io.NewSectionReader(in, 0, in.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	}
	if n, err := in.ReadAt(make([]byte, 1), in.Size()); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

// A copy has all bytes, and no name.
func TestCopy(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, size := range []int{0, 1, 1 << 20} {
		want := bytes.Repeat([]byte("x\x00\n"), size)
		in, err := Read(t.Context(), iotest.HalfReader(bytes.NewReader(want)))
		if err != nil {
			t.Fatal(err)
		}
		check(t, in, want)
		if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
			t.Errorf("left %v, %v", left, err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What ends in an error is no input.
func TestBroken(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	broken := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("broken pipe")))
	if in, err := Read(t.Context(), broken); in != nil || err == nil || !strings.Contains(err.Error(), "after 4 bytes: broken pipe") {
		t.Errorf("%v, %v", in, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if in, err := Read(ctx, strings.NewReader("x")); in != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", in, err)
	}
	t.Setenv("TMPDIR", "/nowhere")
	if in, err := Read(t.Context(), strings.NewReader("x")); in != nil || err == nil || !strings.Contains(err.Error(), "hint: TMPDIR") {
		t.Errorf("%v, %v", in, err)
	}
}

// A file is read in place, from where it stands, and must stay as it is.
func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(name, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(4, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	rest, err := Read(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	check(t, rest, []byte("two\n"))
	in, err := Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	check(t, in, []byte("one\ntwo\n"))
	if err := os.WriteFile(name, []byte("One\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for _, in := range []*Input{in, rest} {
		if n, err := in.ReadAt(make([]byte, 1), 0); n != 0 || err == nil || !strings.Contains(err.Error(), "has changed") {
			t.Errorf("after a change: %d, %v", n, err)
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := rest.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Stat(); err != nil {
		t.Errorf("the caller's file was closed: %v", err)
	}
	if _, err := Open(t.Context(), name+"x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// checkFile checks what is read of a file.
func checkFile(t *testing.T, name string, want []byte) {
	t.Helper()
	in, err := Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	check(t, in, want)
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

// A file that does not tell its size, as those in /proc, is read to its end.
func TestFileWithoutSize(t *testing.T) {
	const name = "/proc/self/limits"
	want, err := os.ReadFile(name)
	if err != nil {
		t.Skipf("there is no such file here: %v", err)
	}
	checkFile(t, name, want)
}

// The wait for somebody who writes to a FIFO ends with the context, whether nobody has opened
// it or nobody writes.
func TestWaitEnds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	waiting := func(what string) {
		for _, before := range []bool{true, false} {
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("enough")
			if before {
				cancel(why)
			} else {
				time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
			}
			if in, err := Open(ctx, name); in != nil || !errors.Is(err, why) {
				t.Errorf("%s: %v, %v", what, in, err)
			}
		}
	}
	waiting("nobody has opened it")
	held, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.WriteString("half"); err != nil {
		t.Error(err)
	}
	if runtime.GOOS == "linux" { // elsewhere reads of a FIFO have no deadline
		waiting("nobody writes")
	}
	_ = held.Close()
	written := make(chan error, 1) // sent by the goroutine
	go func() { written <- os.WriteFile(name, []byte("all of it"), 0o600) }()
	in, err := Open(t.Context(), name)
	if err != nil || <-written != nil {
		t.Fatal(err)
	}
	check(t, in, []byte("all of it"))
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}
