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

// A loopConn is a connection in a loop.
type loopConn struct {
	loop *loop
	conn *conn
	ctx  context.Context // of the attempt; changed by loop.bind
	done func(fleet.End) // of the attempt; nil: between two attempts
	fd   int32

	state   atomic.Int32
	hungUp  atomic.Bool // the peer has closed its side, or an error occurred
	watched bool        // registered with epoll
	room    bool        // wait for EPOLLOUT too
	unsent  bool        // flush stopped although more can be written: see turn
	quiet   bool        // registered with deadlines.quiet, whose mu guards changes

	// Of loop.deadlines, whose mu guards them.
	place int32         // in its heap; 0: not there
	due   time.Duration // since it began
}

// The states of a loopConn.
const (
	idle    int32 = iota // waiting for an event
	queued               // waiting for a worker
	running              // a worker runs it
	rerun                // a worker runs it and has to run it again
	over
)

// wanted records an event, and reports whether p has to be queued.
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

// begin starts the session on the caller's goroutine and registers the connection
// with epoll.
func (p *loopConn) begin() {
	p.start()
	p.rest()
	if p.conn.session.end == nil {
		p.watch(unix.EPOLL_CTL_ADD)
		p.watched = true
	}
	if p.conn.session.end != nil {
		p.finish()
		return
	}
	p.arm()
	if p.unsent || !p.state.CompareAndSwap(running, idle) {
		p.state.Store(idle)
		p.loop.schedule(p)
	}
}

// watch registers the connection with epoll for reading and, if a write is blocked,
// for writing. Epoll reports at once what is already readable; a socket is nearly
// always writable, so that this event is not requested otherwise.
func (p *loopConn) watch(operation int) {
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1))
	if p.room {
		events |= unix.EPOLLOUT
	}
	err := unix.EpollCtl(p.epoll(), operation, int(p.fd), &unix.EpollEvent{Events: events, Fd: p.fd})
	if err != nil {
		p.conn.session.stopFor(fleet.ReasonLocalMemory, err)
	}
}

// waitWritable requests the event for a blocked write.
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

// run works on the connection until there are no more events for it.
func (p *loopConn) run(buf []byte) {
	for {
		p.state.Store(running)
		p.startNext(buf)
		drained := p.work(buf)
		p.rest()
		p.becomeQuiet()
		if p.conn.session.end != nil {
			p.finish()
			return
		}
		p.arm()
		if !drained {
			p.state.Store(idle)
			p.loop.extra.Go(func() { p.loop.schedule(p) }) // after the others
			return
		}
		if p.state.CompareAndSwap(running, idle) {
			return
		}
	}
}

// rest drives the connection without a session, if the one that has ended keeps it, and calls
// done.
func (p *loopConn) rest() {
	s := p.conn.session
	if !s.keeps {
		return
	}
	p.conn.rest()
	p.loop.bind(p, context.Background())
	done := p.done
	p.done = nil
	done(*s.end)
	r := p.conn.session
	defer r.guard()
	r.pull() // what came behind the close
	p.flush()
	p.releaseBuffers()
}

// startNext begins a further attempt, if there is one and the connection is still there.
func (p *loopConn) startNext(buf []byte) {
	if s := p.conn.session; !s.resting() || s.end != nil || !p.conn.hasNext() {
		return
	}
	if p.leaveQuiet(buf); p.conn.session.end != nil {
		return
	}
	n := p.conn.adopt()
	if n == nil {
		return
	}
	p.loop.bind(p, n.ctx)
	p.done = n.done
	p.listen()
	if s := p.conn.session; s.end == nil {
		defer s.guard()
		s.begin()
	}
}

// listen has the attempt's Stream, and the agent, schedule p when they have more.
func (p *loopConn) listen() {
	p.conn.session.agent.notify(func() { p.loop.schedule(p) })
	if a := p.conn.session.attempt; a != nil && a.Stream != nil {
		a.Stream.Notify(func() { p.loop.schedule(p) })
	}
}

// turnReads is the number of reads, and turn that of parts of the input, before other connections have
// their turn. A read is up to loopBuffer: a host that sends as fast as it can gets half a millisecond of a
// worker, about what the whole session of another one takes.
const (
	turnReads = 2
	turn      = 16
)

// work reads and writes, then checks for other ends of the session. drained means
// that there is nothing more to read or write now.
func (p *loopConn) work(buf []byte) (drained bool) {
	s := p.conn.session
	defer s.guard()
	p.flush()
	for range turnReads {
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
	return drained && !p.unsent
}

// releaseBuffers frees the buffers of a connection whose command runs, which may
// take long. In earlier phases the next answer is near.
func (p *loopConn) releaseBuffers() {
	s := p.conn.session
	if s.end == nil && (s.resting() || s.attempt.Timeline.Phase() == fleet.PhaseRun) {
		s.link.client.Shrink()
	}
}

// read reads once. A read that does not fill buf has drained an edge-triggered
// connection, unless the end of the stream follows: later bytes cause a new event.
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
		p.flush()
		return n < len(buf) && !ends
	}
	return false
}

// flush writes what the kernel accepts, and then parts of the command's input, unless
// the session has ended: a last message is sent with DISCONNECT.
func (p *loopConn) flush() {
	if p.conn.session.end != nil {
		return
	}
	p.unsent = false
	for range turn {
		if p.write(); !p.feeds() {
			return
		}
	}
	p.unsent = true
}

// feeds queues a part of the input if nothing is left to write.
func (p *loopConn) feeds() bool {
	s := p.conn.session
	if !s.canFeed() {
		return false
	}
	if s.feed() {
		return true
	}
	s.giveBack()
	return false
}

func (p *loopConn) write() {
	s := p.conn.session
	if s.mute {
		return
	}
	err := s.link.write(func(out []byte) (int, error) {
		n, err := unix.Write(int(p.fd), out)
		switch {
		case n > 0:
			s.writeBy = time.Time{}
		case errors.Is(err, unix.EINTR):
			return 0, nil
		}
		return n, err
	})
	switch {
	case err == nil:
	case errors.Is(err, unix.EAGAIN):
		if s.writeBy.IsZero() {
			s.writeBy = s.clock().Now().Add(sshreason.WriteTimeout)
		}
		p.waitWritable()
	default:
		s.writeFailed(err)
	}
}

// check ends the session if the run, the caller or a deadline does.
func (p *loopConn) check() {
	s := p.conn.session
	now := s.clock().Now()
	switch {
	case p.ctx.Err() != nil:
		s.interrupted(p.ctx)
	case p.conn.isClosed():
		s.stopFor(fleet.ReasonInterrupted, errClosedHere)
	case !s.writeBy.IsZero() && !now.Before(s.writeBy):
		s.stalled()
	default:
		s.passed(now)
		p.flush()
	}
}

// arm has the connection scheduled for its next deadline.
func (p *loopConn) arm() {
	s := p.conn.session
	p.loop.deadlines.set(p, s.clock().Deadline(earlier(s.next(), s.writeBy)), s.resting())
}

// finish releases the connection and calls done, if there is an attempt.
func (p *loopConn) finish() {
	p.state.Store(over)
	p.loop.deadlines.remove(p)
	late, why := p.conn.over()
	p.loop.forget(p)
	hangUp := func() {
		p.disconnect()
		_ = p.conn.session.link.conn.Close()
	}
	p.conn.part(hangUp, func() {
		if p.done != nil {
			p.done(*p.conn.session.end)
		}
		if late != nil {
			late.fail(why)
		}
		p.loop.left()
	})
}

// disconnect sends DISCONNECT, if the socket has room and no queued command would
// be sent with it. The kernel holds the message back (MSG_MORE), so that it shares
// a packet with the FIN of Close.
func (p *loopConn) disconnect() {
	l := p.conn.session.link
	if p.conn.session.mute || !l.exec.CanFlush() {
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
