package client

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// calm is the set of connections that have been without a command for some time. They are registered
// with an epoll instance of their own, which does not wake this process: see deadlines, whose mu
// guards it.
type calm struct {
	fd    int // -1: closed
	conns int
	after time.Duration // calmAfter, except in tests
}

// calmAfter is how long a connection has no command before it is calm. Commands that follow one
// another faster do not pay for going there and back.
const calmAfter = 5 * time.Second

func newCalm() (calm, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return calm{fd: -1}, fmt.Errorf("making a set of idle connections: %w", err)
	}
	return calm{fd: fd, after: calmAfter}, nil
}

func (c *calm) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}

// events returns what has happened to the connections.
func (c *calm) events() (all []unix.EpollEvent) {
	if c.conns == 0 {
		return nil
	}
	var some [64]unix.EpollEvent
	for {
		n, err := unix.EpollWait(c.fd, some[:], 0)
		all = append(all, some[:max(n, 0)]...)
		if err != nil || n < len(some) { // after an error, the next slot sees the rest
			return all
		}
	}
}

// becomeCalm moves p to the calm connections if it has had no command for some time. Epoll reports there
// what is already readable.
func (p *loopConn) becomeCalm() {
	if p.calm || !p.conn.session.resting() || time.Since(p.conn.kept.since) < p.loop.deadlines.calm.after {
		return
	}
	p.move(true)
}

// beAttentive moves p back before it gets a command, and reads what its server has sent meanwhile: it
// may have closed the connection, also behind what it has sent.
func (p *loopConn) beAttentive(buf []byte) {
	if !p.calm {
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

func (p *loopConn) move(calm bool) {
	d := &p.loop.deadlines
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calm.fd < 0 {
		return
	}
	_ = unix.EpollCtl(p.epoll(), unix.EPOLL_CTL_DEL, int(p.fd), nil)
	if p.calm = calm; calm {
		d.calm.conns++
		d.resetLocked()
	} else {
		d.calm.conns--
	}
	p.watch(unix.EPOLL_CTL_ADD)
}

// epoll returns the epoll instance with which p is registered.
func (p *loopConn) epoll() int {
	if p.calm {
		return p.loop.deadlines.calm.fd
	}
	return p.loop.fd
}
