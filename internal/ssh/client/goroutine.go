package client

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/tcp"
)

// drivers are goroutines that drive one session each.
type drivers struct {
	work sync.WaitGroup

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
}

// start drives a session; after close it only ends the session.
func (g *drivers) start(ctx context.Context, c *conn, done func(fleet.End)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = c.Close()
		go c.dialer.drive(ctx, c, done)
		return
	}
	if g.conns == nil {
		g.conns = make(map[*conn]struct{})
	}
	g.conns[c] = struct{}{}
	g.work.Go(func() {
		c.dialer.drive(ctx, c, done)
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.conns, c)
	})
}

// close abandons all sessions and waits for their end.
func (g *drivers) close() {
	g.mu.Lock()
	g.closed = true
	all := slices.Collect(maps.Keys(g.conns))
	g.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
	g.work.Wait()
}

// drive runs a session to its end on a goroutine of its own, and those that follow on the
// connection if it is kept.
func (d *Dialer) drive(ctx context.Context, c *conn, done func(fleet.End)) {
	l := c.session.link
	past := func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) }
	if c.driven(past) {
		past()
	}
	for {
		stop := context.AfterFunc(ctx, past)
		c.session.listen(past)
		d.work(ctx, c)
		stop()
		if s := c.session; s.keeps {
			c.rest()
			done(*s.end)
			ctx, done = context.Background(), nil
			continue
		}
		if c.session.end != nil {
			break
		}
		n := c.adopt()
		ctx, done = n.ctx, n.done
	}
	late, why := c.over()
	c.part(l.hangUp, func() {
		if done != nil {
			done(*c.session.end)
		}
		if late != nil {
			late.fail(why)
		}
	})
}

// A watched Stream remembers that it has more, while its driver sets deadlines anew.
type watched struct {
	ssh.Stream
	more atomic.Bool
}

func (w *watched) Next(p []byte, at int64) (int, error) {
	w.more.Store(false)
	return w.Stream.Next(p, at)
}

// listen has the attempt's Stream, and the agent, call past when they have more.
func (s *session) listen(past func()) {
	s.agent.notify(past)
	if s.resting() || s.attempt.Stream == nil {
		return
	}
	a, w := *s.attempt, &watched{Stream: s.attempt.Stream}
	a.Stream, s.attempt = w, &a
	w.Notify(func() {
		w.more.Store(true)
		past()
	})
}

// hasMore reports whether the attempt's Stream has called since it was read, or the agent has
// answered.
func (s *session) hasMore() bool {
	if s.agent.hasAnswers() {
		return true
	}
	if s.resting() || !s.accepted {
		return false
	}
	w, ok := s.attempt.Stream.(*watched)
	return ok && w.more.Load()
}

// work reads and writes until the session has ended, or rests and another attempt has come.
func (d *Dialer) work(ctx context.Context, c *conn) {
	s := c.session
	defer s.guard()
	if s.end == nil && !s.resting() {
		s.begin()
	}
	s.pull()
	late := time.Duration(0)
	for s.end == nil && (!s.resting() || !c.hasNext()) {
		late = s.write(ctx, c, late)
		s.read(ctx, c, d)
	}
}

// exchange is how long a blocked write lets no read happen, and the reverse while
// output is pending: a peer may accept more only after its own output was read.
const exchange = 50 * time.Millisecond

// glimpse is how long is read between writes while there is more to write.
const glimpse = time.Millisecond

// write sends the pending output and the command's input, as far as the peer accepts
// them, for the time of exchange: then deadlines pass and what the peer sent is read. It ignores
// errors other than a timeout: read reports why the connection ended, after processing what the
// server sent before.
//
// On a busy machine that time may pass before anything is tried, again and again. So late, by how much the
// write before has ended later than it was to, makes this one's time longer; it returns its own.
func (s *session) write(ctx context.Context, c *conn, late time.Duration) time.Duration {
	began, limit := s.clock().Now(), exchange+2*late
	for !s.mute && (len(s.link.client.Output()) > 0 || s.feed()) {
		now, before := s.clock().Now(), len(s.link.client.Output())
		if now.Sub(began) >= exchange {
			return 0
		}
		if s.writeBy.IsZero() {
			s.writeBy = now.Add(sshreason.WriteTimeout)
		}
		s.limit(ctx, c, s.link.conn.SetWriteDeadline, s.clock().Deadline(earlier(s.writeBy, now.Add(limit))), false)
		err := s.link.flush()
		left := len(s.link.client.Output())
		if left < before {
			s.writeBy = time.Time{}
		}
		if err != nil && sshreason.TimedOut(err) {
			s.timedOut(ctx, c, func() {
				if !s.writeBy.IsZero() && !s.clock().Now().Before(s.writeBy) {
					s.stalled()
				}
			})
			return max(s.clock().Now().Sub(now)-limit, 0)
		}
		if left > 0 {
			s.writeFailed(err)
		}
	}
	return 0
}

// earlier returns the earlier of two times; zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// limit sets a deadline, unless the session is to stop, to be followed by another or, if more, to
// be fed: then a past deadline remains set. A write must not end because there is more to feed,
// which waits for its output to leave; nor a read meanwhile, because the peer may accept no more
// before its own output was read; nor after writing has failed, when nothing is fed any more.
func (s *session) limit(ctx context.Context, c *conn, set func(time.Time) error, t time.Time, more bool) {
	_ = set(t)
	if ctx.Err() != nil || c.isClosed() || s.resting() && c.hasNext() || more && s.canFeed() && s.hasMore() {
		_ = set(time.Unix(1, 0))
	}
}

// read reads once and processes the bytes.
func (s *session) read(ctx context.Context, c *conn, d *Dialer) {
	if s.end != nil {
		return
	}
	s.giveBack()
	by := s.next()
	switch now := s.clock().Now(); {
	case s.mute:
	case s.writeBy.IsZero() && (s.writable || len(s.link.client.Output()) > 0): // the peer accepts more
		by = earlier(by, now.Add(glimpse))
	case len(s.link.client.Output()) > 0:
		by = earlier(by, now.Add(exchange))
	}
	s.limit(ctx, c, s.link.conn.SetReadDeadline, s.clock().Deadline(by), true)
	err := d.readOnce(s.link.conn, func(p []byte) {
		s.link.client.Receive(p)
		s.pull()
	})
	switch {
	case s.end != nil || err == nil:
	case sshreason.TimedOut(err):
		s.timedOut(ctx, c, func() { s.passed(s.clock().Now()) })
	default:
		s.connectionLost(err)
	}
}

// timedOut handles an expired deadline: it stops the session if the deadline was
// set for that, and otherwise calls passed.
func (s *session) timedOut(ctx context.Context, c *conn, passed func()) {
	switch {
	case ctx.Err() != nil:
		s.interrupted(ctx)
	case c.isClosed():
		s.stopFor(fleet.ReasonInterrupted, errClosedHere)
	default:
		passed()
	}
}

// readOnce reads into a buffer that it borrows only when bytes are available: a
// waiting connection holds none.
func (d *Dialer) readOnce(conn net.Conn, take func([]byte)) error {
	var buf *[]byte
	defer func() {
		if buf != nil {
			d.buffers.Put(buf)
		}
	}()
	n, err := 0, error(nil)
	if raw, ok := tcp.Descriptor(conn); ok {
		waitErr := raw.Read(func(fd uintptr) bool {
			buf = d.buffers.Get().(*[]byte)
			n, err = syscall.Read(int(fd), *buf)
			for errors.Is(err, syscall.EINTR) { // returning false would wait although bytes may be there
				n, err = syscall.Read(int(fd), *buf)
			}
			if errors.Is(err, syscall.EAGAIN) {
				d.buffers.Put(buf)
				buf = nil
				return false
			}
			return true
		})
		if waitErr != nil {
			return waitErr
		}
		if n == 0 && err == nil {
			return sshreason.ErrClosed
		}
	} else {
		if w, ok := conn.(interface{ AwaitRead() error }); ok {
			if err := w.AwaitRead(); err != nil {
				return err
			}
		}
		buf = d.buffers.Get().(*[]byte)
		n, err = conn.Read(*buf)
	}
	if n > 0 {
		take((*buf)[:n])
	}
	return err
}
