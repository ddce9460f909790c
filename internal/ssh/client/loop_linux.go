package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shoal/fleet"
)

// A loop waits for any number of connections without a goroutine for each.
//
//	epoll → poll, one goroutine → ready → workers → session → done
//	        timers, ended contexts, Close ↗
//
// A connection is worked on by one worker at a time; what happens to it
// meanwhile is looked at when that is done.
type loop struct {
	epoll *os.File // non-blocking: the runtime tells when it has events
	fd    int
	// ready hands connections to workers: sent by schedule, closed by close when
	// nobody sends any more. It has no room, so that a send that does not go
	// through means that every worker is busy.
	ready   chan *loopConn
	workers sync.WaitGroup
	extra   sync.WaitGroup // workers that were started because the others hung
	polling sync.WaitGroup

	mu      sync.Mutex
	parked  map[int32]*loopConn
	watches map[context.Context]*watch
	active  int // connections whose end has not been given
	quiet   *sync.Cond
	closed  bool
}

// A watch stops connections when the context of their run ends.
type watch struct {
	stop  func() bool
	conns int
}

// loopBuffer is what one read of a worker takes at most.
const loopBuffer = 128 << 10

// stallTimeout is how long all workers may be busy before one more is started: a writer
// of the caller's may make them wait.
const stallTimeout = 50 * time.Millisecond

// helpful is how long such a worker waits for more to do.
const helpful = time.Second

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	l := &loop{
		epoll:   os.NewFile(uintptr(fd), "epoll"),
		fd:      fd,
		ready:   make(chan *loopConn),
		parked:  make(map[int32]*loopConn),
		watches: make(map[context.Context]*watch),
	}
	l.quiet = sync.NewCond(&l.mu)
	for range runtime.GOMAXPROCS(0) {
		l.workers.Go(func() {
			buf := make([]byte, loopBuffer)
			for p := range l.ready {
				p.run(buf)
			}
		})
	}
	l.polling.Go(l.poll)
	return l, nil
}

// poll hands over every connection that has become readable or writable.
func (l *loop) poll() {
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, 256)
	// What comes while events are handed over is told to the runtime, so that
	// one look that does not fill events is enough.
	_ = raw.Read(func(fd uintptr) (done bool) {
		for {
			n, err := unix.EpollWait(int(fd), events, 0)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return true
			}
			for _, ev := range events[:max(n, 0)] {
				l.tell(ev)
			}
			if err == nil && n < len(events) {
				return false // until there is more, or the loop is closed
			}
		}
	})
}

// tell hands over one connection.
func (l *loop) tell(ev unix.EpollEvent) {
	l.mu.Lock()
	p := l.parked[ev.Fd]
	l.mu.Unlock()
	if p == nil {
		return
	}
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.hungUp.Store(true)
	}
	l.schedule(p)
}

// schedule has a worker look at p.
func (l *loop) schedule(p *loopConn) {
	if !p.wanted() {
		return
	}
	select {
	case l.ready <- p:
		return
	default:
	}
	patience := time.NewTimer(stallTimeout)
	defer patience.Stop()
	select {
	case l.ready <- p:
	case <-patience.C:
		l.extra.Go(func() { l.startExtraWorker(p) })
	}
}

// startExtraWorker works on p and then on others, until none has come for a while: the
// writers that hang may do so for long.
func (l *loop) startExtraWorker(p *loopConn) {
	buf := make([]byte, bufferSize)
	p.run(buf)
	patience := time.NewTimer(helpful)
	defer patience.Stop()
	for {
		select {
		case p, more := <-l.ready:
			if !more {
				return
			}
			p.run(buf)
			patience.Reset(helpful)
		case <-patience.C:
			return
		}
	}
}

// add takes a connection over. It gives false when it cannot.
func (l *loop) add(ctx context.Context, c *conn, raw syscall.RawConn, done func(fleet.End)) bool {
	p := &loopConn{loop: l, conn: c, ctx: ctx, done: done}
	if err := raw.Control(func(fd uintptr) { p.fd = int32(fd) }); err != nil {
		return false
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.parked[p.fd] = p
	l.active++
	l.watch(ctx)
	l.mu.Unlock()
	p.state.Store(running) // nobody else looks at it before it has begun
	if c.driven(func() { l.schedule(p) }) || ctx.Err() != nil {
		p.state.Store(rerun)
	}
	p.begin()
	return true
}

// watch makes sure that ctx is watched. l.mu is held.
func (l *loop) watch(ctx context.Context) {
	w := l.watches[ctx]
	if w == nil {
		w = &watch{}
		w.stop = context.AfterFunc(ctx, func() {
			l.each(func(p *loopConn) {
				if p.ctx == ctx {
					l.schedule(p)
				}
			})
		})
		l.watches[ctx] = w
	}
	w.conns++
}

// each calls do for every connection, without the lock.
func (l *loop) each(do func(*loopConn)) {
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.parked))
	l.mu.Unlock()
	for _, p := range all {
		do(p)
	}
}

// forget takes a connection out, before its descriptor can be another's.
func (l *loop) forget(p *loopConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.parked, p.fd)
	w := l.watches[p.ctx]
	if w.conns--; w.conns == 0 {
		w.stop()
		delete(l.watches, p.ctx)
	}
}

// left says that the end of a connection has been given.
func (l *loop) left() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active--
	l.quiet.Broadcast()
}

// close abandons what is parked and ends the loop.
func (l *loop) close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.each(func(p *loopConn) { _ = p.conn.Close() })
	l.mu.Lock()
	for l.active > 0 {
		l.quiet.Wait()
	}
	l.mu.Unlock()
	err := l.epoll.Close()
	l.polling.Wait()
	close(l.ready)
	l.workers.Wait()
	l.extra.Wait()
	return err
}
