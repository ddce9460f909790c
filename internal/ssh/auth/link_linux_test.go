package auth

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A listener whose backlog of 128 is full refuses connections with EAGAIN until it accepts
// some.
// faults.md: A09
func TestAFullBacklog(t *testing.T) {
	t.Parallel()
	const backlog = 128
	socket := filepath.Join(t.TempDir(), "agent")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}), syscall.Listen(fd, backlog)); err != nil {
		t.Fatal(err)
	}
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	for {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "unix", socket)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	impatient := newAgentClient(socket, 200*time.Millisecond, window)
	defer impatient.close()
	if _, err := impatient.ask(t.Context(), "a"); !errors.Is(err, syscall.EAGAIN) ||
		!strings.Contains(err.Error(), "no answer from the agent in 200ms") {
		t.Errorf("%v, want EAGAIN after 200 ms", err)
	}

	l := newAgentClient(socket, time.Minute, window)
	defer l.close()
	got := make(chan string, 1)
	go func() {
		answer, err := l.ask(t.Context(), "a")
		got <- fmt.Sprint(answer, err)
	}()
	for range len(held) + 1 { // accepted in order: ours is last
		conn, _, err := syscall.Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Close(conn) }()
		fd2 := conn
		if len(held) > 0 {
			_ = held[0].Close()
			held = held[1:]
			continue
		}
		var request [5]byte
		if _, err := syscall.Read(fd2, request[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Write(fd2, []byte("\x00\x00\x00\x02re")); err != nil {
			t.Fatal(err)
		}
	}
	if answer := <-got; answer != "re<nil>" {
		t.Error(answer)
	}
}
