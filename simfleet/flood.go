package simfleet

import (
	"sync"
	"time"

	"shoal/simfleet/internal/shell"
)

// linkRate is how many bytes in a second all floods of a fleet send together: what a link of 1 Gbit/s
// brings the client. Without it a flood would be as fast as this machine, of whose processors the
// client has a part.
const linkRate = 1e9 / 8

// linkSlack is how far floods may be ahead: timers are not exact, and a pause costs more than a piece.
const linkSlack = 2 * time.Millisecond

// A link is what floods take turns on.
type link struct {
	mu   sync.Mutex
	free time.Time // when all that was taken is sent
}

// take takes the time of n bytes, and returns how long to wait before they are sent.
func (l *link) take(n int, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(now) {
		l.free = now
	}
	wait := l.free.Sub(now)
	l.free = l.free.Add(time.Duration(n) * time.Second / linkRate)
	return wait
}

// link waits until n bytes of a flood may leave, and says whether the connection is still there.
func (c *conn) link(n int) bool {
	if wait := c.fleet.link.take(n, time.Now()); wait > linkSlack {
		return c.pause(wait)
	}
	return c.ctx.Err() == nil
}

// inFlight bounds the questions of a flood that are not answered yet.
const inFlight = 256

// flood sends messages until the connection ends, many in one piece. Each call of next appends some, or
// returns false while it has to wait for answers. mu is held during it.
func (w *wireServer) flood(next func() bool) shell.Exit {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil {
		for range inFlight {
			if len(w.server.Output()) >= largeRead || !next() {
				break
			}
		}
		if size := len(w.server.Output()); size > 0 {
			w.settleLocked()
			w.mu.Unlock()
			w.conn.link(size)
			w.mu.Lock()
		} else {
			w.changed.Wait()
		}
	}
	return shell.Exit{Broken: true}
}
