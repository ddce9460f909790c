package client

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// quiet is the set of connections that have been without a command for some time. They are registered
// with an epoll instance of their own, which does not wake this process: see deadlines, whose mu
// guards it.
type quiet struct {
	fd    int // -1: closed
	conns int
	after time.Duration // quietAfter, except in tests
}

// quietAfter is how long a connection has no command before it is quiet. Commands that follow one
// another faster do not pay for going there and back.
const quietAfter = 5 * time.Second

func newQuiet() (quiet, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return quiet{fd: -1}, fmt.Errorf("making a set of idle connections: %w", err)
	}
	return quiet{fd: fd, after: quietAfter}, nil
}

func (q *quiet) close() {
	if q.fd >= 0 {
		_ = unix.Close(q.fd)
		q.fd = -1
	}
}

// events returns what has happened to the connections.
func (q *quiet) events() (all []unix.EpollEvent) {
	if q.conns == 0 {
		return nil
	}
	var some [64]unix.EpollEvent
	for {
		n, err := unix.EpollWait(q.fd, some[:], 0)
		all = append(all, some[:max(n, 0)]...)
		if err != nil || n < len(some) { // after an error, the next slot sees the rest
			return all
		}
	}
}

// becomeQuiet moves p to the quiet connections if it has had no command for some time. Epoll reports there
// what is already readable.
func (p *loopConn) becomeQuiet() {
	if p.quiet || !p.conn.session.resting() || time.Since(p.conn.kept.since) < p.loop.deadlines.quiet.after {
		return
	}
	p.move(true)
}

// leaveQuiet moves p back before it gets a command, and reads what its server has sent meanwhile: it
// may have closed the connection, also behind what it has sent.
func (p *loopConn) leaveQuiet(buf []byte) {
	if !p.quiet {
		return
	}
	p.move(false)
	defer p.conn.session.guard()
	drained := 0
	for range turn {
		if drained == 2 || p.conn.session.end != nil {
			return
		}
		if p.read(buf) {
			drained++
		}
	}
}

func (p *loopConn) move(quiet bool) {
	d := &p.loop.deadlines
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.quiet.fd < 0 {
		return
	}
	_ = unix.EpollCtl(p.epoll(), unix.EPOLL_CTL_DEL, int(p.fd), nil)
	if p.quiet = quiet; quiet {
		d.quiet.conns++
		d.resetLocked()
	} else {
		d.quiet.conns--
	}
	p.watch(unix.EPOLL_CTL_ADD)
}

// epoll returns the epoll instance with which p is registered.
func (p *loopConn) epoll() int {
	if p.quiet {
		return p.loop.deadlines.quiet.fd
	}
	return p.loop.fd
}
