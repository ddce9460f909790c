package client

import (
	"context"
	"net"
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
		if p != nil && p.conn == c {
			return p
		}
	}
	return nil
}

// A window of one byte is respected: each byte has a message of its own.
func TestInputInWindowOfOneByte(t *testing.T) {
	r := rigFor(sshdtest.Dropbear(t, sshdtest.WithArgs("-W", "1")))
	d := r.newDialer(t)
	a := attemptAt(r, "[ $(wc -c) = 1000 ]")
	a.Input = strings.NewReader(strings.Repeat("x", 1000))
	if e := attemptWith(t, d, a); e.Outcome != fleet.OutcomeOK || r.sent("CHANNEL_DATA") != 1000 || r.sent("CHANNEL_EOF") != 1 {
		t.Errorf("ended %v after %d messages: %v", e.Outcome, r.sent("CHANNEL_DATA"), e.Err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// Input takes a few allocations for each part, and none that grow with its size. With the race detector
// each sync.Pool loses a quarter of what is put into it; wire's TestLend is about memory for bytes.
func TestInputAllocations(t *testing.T) {
	r := rigFor(sshdtest.OpenSSH(t))
	r.Trace = nil
	d := r.newDialer(t)
	const size = 16 << 20
	var counts, bytes [3]int
	for i := range counts {
		a := attemptAt(r, "cat >/dev/null")
		a.Input = strings.NewReader(strings.Repeat("x", i*size))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if e := attemptWith(t, d, a); e.Outcome != fleet.OutcomeOK {
			t.Fatalf("ended %v: %v", e.Outcome, e.Err)
		}
		runtime.ReadMemStats(&after)
		counts[i], bytes[i] = int(after.Mallocs-before.Mallocs), int(after.TotalAlloc-before.TotalAlloc)
	}
	if n := counts[2] - counts[1]; n > 5*size/bufferSize {
		t.Errorf("%d allocations for %d parts", n, size/bufferSize)
	}
	if n := bytes[2] - bytes[1]; n > 4*size {
		t.Errorf("%d bytes of memory for %d bytes of input", n, size)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// A server that accepts much input, and fast, does not keep its other messages and our
// deadlines from being looked at: there is a read every 50 ms.
func TestReadsBetweenWrites(t *testing.T) {
	r := rigFor(sshdtest.OpenSSH(t))
	var c *slowWriter
	r.wrap = func(nc net.Conn) net.Conn { c = &slowWriter{Conn: nc}; return c }
	d := r.newDialer(t)
	a := attemptAt(r, "cat >/dev/null")
	a.Input = strings.NewReader(strings.Repeat("x", 2<<20)) // OpenSSH's window
	if e := attemptWith(t, d, a); e.Outcome != fleet.OutcomeOK {
		t.Errorf("ended %v: %v", e.Outcome, e.Err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if c.most > 8 {
		t.Errorf("%d writes of 10 ms without a read", c.most)
	}
}

// A slowWriter takes 10 ms for a write, and counts those in a row.
type slowWriter struct {
	net.Conn
	row, most int
}

func (c *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	c.row++
	c.most = max(c.most, c.row)
	return c.Conn.Write(p)
}

func (c *slowWriter) Read(p []byte) (int, error) {
	c.row = 0
	return c.Conn.Read(p)
}
