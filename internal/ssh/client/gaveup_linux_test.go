package client

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/tcp"
	"shoal/internal/sshdtest"
)

// An impatient network has the kernel give a connection up soon that accepts nothing (TCP_USER_TIMEOUT),
// and buffer little of what is sent.
type impatient struct {
	ssh.Network
	t *testing.T
}

// Open implements ssh.Network.
func (n impatient) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	c, err := n.Network.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	raw, ok := tcp.Descriptor(c)
	if !ok {
		n.t.Fatal("the connection has no descriptor")
	}
	if err := raw.Control(func(fd uintptr) {
		for option, value := range map[[2]int]int{
			{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 100, {unix.SOL_SOCKET, unix.SO_SNDBUF}: 4 << 10,
		} {
			if err := unix.SetsockoptInt(int(fd), option[0], option[1], value); err != nil {
				n.t.Error(err)
			}
		}
	}); err != nil {
		n.t.Error(err)
	}
	return c, nil
}

// The kernel says once, to whoever reads or writes first, that it has given a connection up: then it is not
// the server that has closed it.
// faults.md: T10
func TestKernelGivesUp(t *testing.T) {
	for name, park := range map[string]Park{"loop": ParkBest, "goroutine": ParkGoroutine} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshdtest.OpenSSH(t)
			var deaf atomic.Bool
			released := make(chan struct{})
			middle := startDeafRelay(t, s, &deaf, released)
			r := rigFor(s)
			r.host.Port, r.Park, r.Network = middle.port(), park, impatient{r, t}
			d := r.newDialer(t)
			a := &ssh.Attempt{
				Progress: new(ssh.Progress), Target: r.target("echo on; cat >/dev/null"), Input: strings.NewReader(strings.Repeat("0", 16<<20)),
				Stdout: writerFunc(func(p []byte) (int, error) { deaf.Store(true); return len(p), nil }),
			}
			if e := attemptWith(t, d, a); e.Outcome != fleet.OutcomeUnknown || e.Reason != fleet.ReasonVanished || e.Phase != fleet.PhaseRun {
				t.Errorf("ended %v(%s) in %v, want unknown(vanished) in run: %v", e.Outcome, e.Reason, e.Phase, e.Err)
			} else if !strings.Contains(e.Err.Error(), "connection timed out") {
				t.Errorf("the error is %v", e.Err)
			}
			close(released)
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
