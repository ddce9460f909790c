package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"shoal/fleet"
	"shoal/internal/ssh/sshreason"
)

// A parked is a connection in a loop.
type loopConn struct {
	loop *loop
	conn *conn
	ctx  context.Context
	done func(fleet.End)
	fd   int32

	state   atomic.Int32
	timer   *time.Timer   // nil until there is a deadline
	armed   time.Time     // when timer fires; zero: it does not
	lost    time.Duration // what the session's clock had lost when it was set
	writeBy time.Time     // the server has to take something by then; zero: nothing waits
	mute    bool          // writing has failed: reading will tell why
	watched bool          // the loop tells when something comes
	room    bool          // and when there is room to write again

	hungUp atomic.Bool // the peer's end of the stream has come, or an error
}

// The states of a parked connection.
const (
	idle    int32 = iota // waiting for something to happen
	queued               // a worker is to look at it
	running              // one does
	rerun                // and has to do it again
	over
)

// wanted notes that something has happened, and says whether p has to be queued.
func (p *loopConn) wanted() bool {
	for {
		switch s := p.state.Load(); s {
		case idle:
			if p.state.CompareAndSwap(idle, queued) {
				return true
			}
		case running:
			if p.state.CompareAndSwap(running, rerun) {
				return false
			}
		default:
			return false
		}
	}
}

// begin starts the session on the caller's goroutine and has the loop watch the
// connection.
func (p *loopConn) begin() {
	p.start()
	if p.conn.session.end == nil {
		p.watch(unix.EPOLL_CTL_ADD)
		p.watched = true
	}
	if p.conn.session.end != nil {
		p.finish()
		return
	}
	p.arm()
	if !p.state.CompareAndSwap(running, idle) {
		p.state.Store(idle)
		p.loop.schedule(p)
	}
}

// watch has the loop tell of what comes and, where writing waits, of room. The
// kernel tells at once of what is there already; that there is room to write
// nearly always is, and need not be told.
func (p *loopConn) watch(operation int) {
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1))
	if p.room {
		events |= unix.EPOLLOUT
	}
	err := unix.EpollCtl(p.loop.fd, operation, int(p.fd), &unix.EpollEvent{Events: events, Fd: p.fd})
	if err != nil {
		p.conn.session.stopFor(fleet.ReasonLocalMemory, err)
	}
}

// waitWritable is for a write that waits.
func (p *loopConn) waitWritable() {
	if p.room {
		return
	}
	p.room = true
	if p.watched {
		p.watch(unix.EPOLL_CTL_MOD)
	}
}

func (p *loopConn) start() {
	s := p.conn.session
	defer s.guard()
	s.begin()
	s.pull()
	p.flush()
	p.releaseBuffers()
}

// run looks at the connection until nothing more has happened to it.
func (p *loopConn) run(buf []byte) {
	for {
		p.state.Store(running)
		drained := p.work(buf)
		if p.conn.session.end != nil {
			p.finish()
			return
		}
		p.arm()
		if !drained {
			p.state.Store(idle)
			p.loop.extra.Go(func() { p.loop.schedule(p) }) // behind the others
			return
		}
		if p.state.CompareAndSwap(running, idle) {
			return
		}
	}
}

// turn is how many reads a connection gets before others have theirs.
const turn = 16

// work moves bytes, then looks at what else may have ended the session. drained
// says that nothing more is there to be read.
func (p *loopConn) work(buf []byte) (drained bool) {
	s := p.conn.session
	defer s.guard()
	p.flush()
	for range turn {
		if s.end != nil || drained {
			break
		}
		drained = p.read(buf)
	}
	if s.end == nil {
		p.check()
	}
	if drained {
		p.releaseBuffers()
	}
	return drained
}

// releaseBuffers gives up what a connection whose command runs can do without: it may wait
// for long. Before that the next answer is near.
func (p *loopConn) releaseBuffers() {
	s := p.conn.session
	if s.end == nil && s.attempt.Timeline.Phase() == fleet.PhaseRun {
		s.link.client.Shrink()
	}
}

// read takes what one read gives. One that does not fill buf shows that an
// edge-triggered connection is drained, unless its end stands behind the bytes:
// what comes later is told anew.
func (p *loopConn) read(buf []byte) (drained bool) {
	s := p.conn.session
	ends := p.hungUp.Load()
	n, err := unix.Read(int(p.fd), buf)
	switch {
	case errors.Is(err, unix.EINTR):
	case errors.Is(err, unix.EAGAIN):
		return true
	case err != nil:
		s.connectionLost(err)
	case n == 0:
		s.connectionLost(sshreason.ErrClosed)
	default:
		s.link.client.Receive(buf[:n])
		s.pull()
		if s.end == nil { // a last message goes with the goodbye
			p.flush()
		}
		return n < len(buf) && !ends
	}
	return false
}

// flush writes what the kernel takes.
func (p *loopConn) flush() {
	if p.mute {
		return
	}
	err := p.conn.session.link.write(func(out []byte) (int, error) {
		n, err := unix.Write(int(p.fd), out)
		switch {
		case n > 0:
			p.writeBy = time.Time{}
		case errors.Is(err, unix.EINTR):
			return 0, nil
		}
		return n, err
	})
	switch {
	case err == nil:
	case errors.Is(err, unix.EAGAIN):
		if p.writeBy.IsZero() {
			p.writeBy = p.conn.session.clock.Now().Add(sshreason.WriteTimeout)
		}
		p.waitWritable()
	default:
		p.mute = true
	}
}

// check ends the session when the run, the caller or a deadline does.
func (p *loopConn) check() {
	s := p.conn.session
	now := s.clock.Now()
	switch {
	case p.ctx.Err() != nil:
		s.interrupted(p.ctx)
	case p.conn.isClosed():
		s.stopFor(fleet.ReasonInterrupted, errClosedHere)
	case !p.writeBy.IsZero() && !now.Before(p.writeBy):
		s.stalled()
	default:
		s.passed(now)
		p.flush()
	}
}

// arm sets the timer to the next deadline.
func (p *loopConn) arm() {
	next := p.conn.session.next()
	if !p.writeBy.IsZero() && (next.IsZero() || p.writeBy.Before(next)) {
		next = p.writeBy
	}
	clock := p.conn.session.clock
	lost := clock.Suspended()
	if next.Equal(p.armed) && lost == p.lost {
		return
	}
	p.armed, p.lost = next, lost
	wait := time.Until(clock.Deadline(next))
	switch {
	case next.IsZero() && p.timer == nil:
	case next.IsZero():
		p.timer.Stop()
	case p.timer == nil:
		p.timer = time.AfterFunc(wait, func() { p.loop.schedule(p) })
	default:
		p.timer.Reset(wait)
	}
}

// finish gives the session's end.
func (p *loopConn) finish() {
	p.state.Store(over)
	if p.timer != nil {
		p.timer.Stop()
	}
	p.conn.over()
	p.loop.forget(p)
	p.disconnect()
	_ = p.conn.session.link.conn.Close()
	p.done(*p.conn.session.end)
	p.loop.left()
}

// disconnect says it, if the socket has room and it takes no command along. The
// kernel holds it back, so that it leaves in one packet with the end that Close
// sends.
func (p *loopConn) disconnect() {
	l := p.conn.session.link
	if p.mute || !l.exec.CanFlush() {
		return
	}
	l.client.Disconnect()
	_ = l.write(func(out []byte) (int, error) {
		if err := unix.Send(int(p.fd), out, unix.MSG_MORE|unix.MSG_NOSIGNAL); err != nil {
			return 0, err
		}
		return len(out), nil
	})
}
