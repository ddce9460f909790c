package client

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/sshdtest"
)

// Connections whose commands do not read their input share the loop's goroutines, and hold
// neither input nor buffers.
func TestUnreadInputHoldsNothing(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	r := rigFor(s)
	d := r.newDialer(t)
	ctx, cancel := context.WithCancel(t.Context())
	const conns, window = 12, 2 << 20 // OpenSSH's
	text := strings.NewReader(strings.Repeat("x", 8<<20))
	ends := make(chan fleet.End, conns)
	goroutines := 0
	for i := range conns {
		a := attemptAt(r, "sleep 3600")
		a.Input = text
		dialled, err := d.Dial(ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		dialled.Start(ctx, func(e fleet.End) { ends <- e })
		full := func() (full bool) {
			p := dialled.(*conn).parkedIn(d)
			p.whileIdle(func() {
				session := p.conn.session
				out := session.link.client.Output()
				full = session.fed >= window && !session.writable && len(out) == 0
				if full && cap(out) > 0 {
					t.Errorf("%d bytes of buffer are held", cap(out))
				}
			})
			return full
		}
		for !full() {
			time.Sleep(time.Millisecond)
		}
		if i == 0 {
			goroutines = runtime.NumGoroutine()
		}
	}
	if n := runtime.NumGoroutine(); n > goroutines+conns/2 {
		t.Errorf("%d goroutines for %d connections, %d for one", n, conns, goroutines)
	}
	cancel()
	for range conns {
		if e := <-ends; e.Outcome != fleet.OutcomeUnknown || e.Reason != fleet.ReasonInterrupted {
			t.Errorf("ended %v(%s): %v", e.Outcome, e.Reason, e.Err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// parkedIn returns the connection's place in the Dialer's loop.
func (c *conn) parkedIn(d *Dialer) *loopConn {
	l := d.parking.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parked {
		if p.conn == c {
			return p
		}
	}
	return nil
}
