package client

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
)

// makeQuiet makes r's connections quiet at their first deadline, and returns the loop's.
func makeQuiet(t *testing.T, r *rig, d *Dialer) *deadlines {
	t.Helper()
	l := d.parking.running()
	if l == nil {
		t.Fatal("there is no event loop")
	}
	l.deadlines.mu.Lock()
	defer l.deadlines.mu.Unlock()
	l.deadlines.quiet.after = 0
	return &l.deadlines
}

// waitQuiet waits until n connections are quiet.
func (d *deadlines) waitQuiet(n int) {
	for {
		d.mu.Lock()
		quiet := d.quiet.conns
		d.mu.Unlock()
		if quiet == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// A quiet connection answers, exchanges keys and runs commands as before, and its end is noticed.
func TestQuietConnections(t *testing.T) {
	t.Parallel()
	r := rigFor(sshdtest.OpenSSH(t, sshdtest.WithConfig("ClientAliveInterval 1", "ClientAliveCountMax 1")))
	r.settings, r.Timeouts.Alive = &ssh.Settings{RekeyAfter: 300 * time.Millisecond}, 200*time.Millisecond
	exchanged := r.countExchanges()
	dialer := r.newDialer(t)
	defer func() { _ = dialer.Close() }()
	d := makeQuiet(t, r, dialer)
	one, two := keepOne(t, r, dialer), keepOne(t, r, dialer)
	for range 3 {
		d.waitQuiet(2)
		one.exchanges(t, exchanged, 2)
		one.ok(t, "echo on", "on\n")
	}
	_ = one.conn.Close()
	if cause := <-one.ended; !errors.Is(cause, errClosedHere) {
		t.Errorf("ended by %v", cause)
	}
	d.waitQuiet(1)
	if end, _ := two.next(t.Context(), "kill -9 $PPID"); end.Outcome != fleet.OutcomeUnknown || end.Reason != fleet.ReasonConnClosed {
		t.Errorf("%+v", end)
	}
	if cause := <-two.ended; cause == nil {
		t.Error("there is no cause")
	}
}

// A quiet connection that its server has closed gets no command, also if nobody has looked yet, and if the
// server has sent something before.
func TestQuietConnectionIsClosed(t *testing.T) {
	t.Parallel()
	for name, config := range map[string][]string{
		"at once":          {"UnusedConnectionTimeout 1"},
		"behind a message": {"UnusedConnectionTimeout 2", "ClientAliveInterval 1", "ClientAliveCountMax 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rigFor(sshdtest.OpenSSH(t, sshdtest.WithConfig(config...)))
			r.Timeouts.Alive = 200 * time.Millisecond
			dialer := r.newDialer(t)
			defer func() { _ = dialer.Close() }()
			dialer.settle = 0 // a command would be sent with the opening of its channel
			d := makeQuiet(t, r, dialer)
			k := keepOne(t, r, dialer)
			d.waitQuiet(1)
			d.mu.Lock()
			d.timer.Stop() // nobody looks
			d.mu.Unlock()
			fd := -1
			for _, p := range d.loop.parked {
				if p != nil {
					fd = int(p.fd)
				}
			}
			for {
				info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
				if err != nil {
					t.Fatal(err)
				}
				if info.State != unix.BPF_TCP_ESTABLISHED {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if end, _ := k.next(t.Context(), "true"); end.Outcome != fleet.OutcomeNeverStarted {
				t.Errorf("%+v", end)
			}
			if n := r.sent("exec"); n != 1 {
				t.Errorf("%d commands were sent", n)
			}
		})
	}
}
