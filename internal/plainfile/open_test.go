package plainfile_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shoal/internal/plainfile"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(in("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fifo", in("link")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", in("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for path, refused := range map[string]string{
		in("file"): "", dir: "", os.DevNull: "",
		in("fifo"): "a FIFO", in("link"): "a FIFO", "/dev/zero": "a device",
	} {
		f, err := plainfile.Open(path)
		switch {
		case refused == "" && err != nil:
			t.Errorf("%s: %v", path, err)
		case refused == "":
			_ = f.Close()
		case !errors.Is(err, plainfile.ErrNotPlain) || !strings.Contains(err.Error(), refused) || !strings.Contains(err.Error(), "\nhint: "):
			t.Errorf("%s: %v, want an error with %q and a hint", path, err, refused)
		}
	}
	if _, err := plainfile.Open(in("socket")); err == nil {
		t.Error("a socket was opened")
	}
	if _, err := plainfile.ReadFile(in("file"), 3); err == nil {
		t.Error("4 bytes were read within a limit of 3")
	}
	if data, err := plainfile.ReadFile(in("file"), 4); err != nil || string(data) != "text" {
		t.Errorf("%q, %v", data, err)
	}
}

// An inherited FIFO is read to its end, also if its writers have gone or none has come.
func TestInheritedFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	read := func(want string) {
		t.Helper()
		if data, err := plainfile.ReadFile(fmt.Sprintf("/dev/fd/%d", r.Fd()), 100); err != nil || string(data) != want {
			t.Errorf("%q, %v, want %q", data, err, want)
		}
	}
	read("")
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	late := make(chan error, 1) // sent by the goroutine
	go func() {
		_, err := io.WriteString(w, "web1\n")
		late <- errors.Join(err, w.Close())
	}()
	read("web1\n")
	if err := <-late; err != nil {
		t.Error(err)
	}
}

// A shell's <(…) is a pipe that this process has inherited.
func TestInheritedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := io.WriteString(w, "web1\n"); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	data, err := plainfile.ReadFile(fmt.Sprintf("/dev/fd/%d", r.Fd()), 100)
	if err != nil || string(data) != "web1\n" {
		t.Errorf("%q, %v", data, err)
	}
}
