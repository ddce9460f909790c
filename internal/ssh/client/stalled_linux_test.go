package client

import (
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/sshdtest"
)

// startDeafRelay relays to s, and reads nothing more of what clients send once deaf is set, until released
// is closed.
func startDeafRelay(t *testing.T, s *sshdtest.Server, deaf *atomic.Bool, released <-chan struct{}) *relay {
	t.Helper()
	return startRelay(t, fleet.Target{Host: s.Host}.Address(), func(client, server *net.TCPConn) {
		_ = client.SetReadBuffer(4 << 10)
		var both sync.WaitGroup
		both.Go(func() {
			_, _ = io.Copy(server, untilDeaf{client, deaf, released})
			_ = server.CloseWrite()
		})
		both.Go(func() { _, _ = io.Copy(client, server); _ = client.CloseWrite() })
		both.Wait()
		_, _ = client.Close(), server.Close()
	})
}

// A server stops reading while more is pending for it than the kernels buffer
// (faults.md T11). It delays no other connection, and ends at a deadline.
// faults.md: T11
func TestServerStopsReading(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t)
	var deaf atomic.Bool
	released := make(chan struct{})
	middle := startDeafRelay(t, s, &deaf, released)
	r := rigFor(s)
	r.host.Port = middle.port()
	d := r.newDialer(t)
	stuck := r.begin(t.Context(), t, d, "sleep 3600")
	for stuck.attempt.Timeline.Phase() != fleet.PhaseRun {
		time.Sleep(time.Millisecond)
	}
	deaf.Store(true)

	// Something to say: the loop's workers are asked in turn, as after any event.
	p := onlyParked(d)
	p.whileIdle(func() {
		for range 200_000 { // some 10 MB
			p.conn.session.link.client.Keepalive()
		}
	})
	p.loop.schedule(p)
	for p.waitsToWrite().IsZero() {
		time.Sleep(time.Millisecond)
	}
	if left := time.Until(p.waitsToWrite()); left > sshreason.WriteTimeout {
		t.Errorf("it is waited for %v, want %v at most", left, sshreason.WriteTimeout)
	}
	rigFor(s).run(t, "echo hello").ok(t, "hello\n")
	other := rigFor(s)
	other.attempt(t, d, "echo hello").ok(t, "hello\n") // in the same loop

	for waiting := true; waiting; { // what the kernels take yet begins it anew
		select {
		case <-stuck.ended:
			waiting = false
		case <-time.After(10 * time.Millisecond):
			if p.state.CompareAndSwap(idle, running) {
				p.conn.session.writeBy = time.Now()
				p.state.Store(idle)
				p.loop.schedule(p)
			}
		}
	}
	if e := stuck.end; e.Outcome != fleet.OutcomeUnknown || e.Reason != fleet.ReasonStalled || e.Phase != fleet.PhaseRun {
		t.Errorf("ended %v(%s) in %v, want unknown(stalled) in run: %v", e.Outcome, e.Reason, e.Phase, e.Err)
	}
	close(released)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wantOnce(t, []*waiter{stuck})
}

// untilDeaf reads until it is deaf, and then not before it is released.
type untilDeaf struct {
	r        io.Reader
	deaf     *atomic.Bool
	released <-chan struct{}
}

func (u untilDeaf) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if u.deaf.Load() {
		<-u.released
	}
	return n, err
}

// onlyParked is the one connection in a Dialer's loop.
func onlyParked(d *Dialer) *loopConn {
	l := d.parking.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.parked, func(p *loopConn) bool { return p != nil })
	if i < 0 {
		return nil
	}
	return l.parked[i]
}

// whileIdle calls a function in place of a worker.
func (p *loopConn) whileIdle(do func()) {
	for !p.state.CompareAndSwap(idle, running) {
		time.Sleep(time.Millisecond)
	}
	do()
	p.state.Store(idle)
}

// waitsToWrite is the deadline of a write.
func (p *loopConn) waitsToWrite() (by time.Time) {
	p.whileIdle(func() { by = p.conn.session.writeBy })
	return by
}
