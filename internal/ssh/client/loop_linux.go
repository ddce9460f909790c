package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shoal/fleet"
)

// A loop waits for any number of connections without a goroutine for each.
//
//	epoll → poll, one goroutine → ready → workers → session → done
//	        timers, ended contexts, Close ↗
//	        quiet connections, by a timer ↗
//
// One worker at a time works on a connection; what happens to the connection
// meanwhile is handled afterwards.
type loop struct {
	epoll *os.File // non-blocking: the runtime polls it for events
	fd    int
	// ready passes connections to workers: sent by schedule, closed by close when
	// nobody sends any more. It is unbuffered, so that a blocked send means that every
	// worker is busy.
	ready   chan *loopConn
	worked  atomic.Uint64 // connections that workers have begun to work on
	workers sync.WaitGroup
	extra   sync.WaitGroup // workers started while all others were busy
	polling sync.WaitGroup

	deadlines deadlines

	mu       sync.Mutex
	parked   []*loopConn // by descriptor; nil: another's descriptor
	watches  map[context.Context]*watch
	active   int        // connections that are not released
	released *sync.Cond // active has become less
	closed   bool
}

// A watch stops the connections of a run when its context ends.
type watch struct {
	stop  func() bool
	conns int
}

// loopBuffer is the size of a worker's read buffer.
const loopBuffer = 128 << 10

// stallTimeout is how long no worker may have taken a connection that waits before another is
// started: a writer of the caller's may block them all. Workers that are merely slow, on a busy
// machine, would be joined by hundreds.
const stallTimeout = 50 * time.Millisecond

// helpful is how long such a worker takes more work before it ends.
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
		watches: make(map[context.Context]*watch),
	}
	if l.deadlines.quiet, err = newQuiet(); err != nil {
		_ = l.epoll.Close()
		return nil, err
	}
	l.deadlines.loop, l.deadlines.began = l, time.Now()
	l.released = sync.NewCond(&l.mu)
	for range runtime.GOMAXPROCS(0) {
		l.workers.Go(func() {
			buf := make([]byte, loopBuffer)
			for p := range l.ready {
				l.work(p, buf)
			}
		})
	}
	l.polling.Go(l.poll)
	return l, nil
}

// poll schedules every connection that has become readable or writable.
func (l *loop) poll() {
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, 256)
	// The runtime is notified of events that occur meanwhile, so that one EpollWait
	// that does not fill events is enough.
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
				return false // wait for more, or for close
			}
		}
	})
}

// tell schedules the connection of one event.
func (l *loop) tell(ev unix.EpollEvent) {
	l.mu.Lock()
	p := l.parked[ev.Fd] // it was there once
	l.mu.Unlock()
	if p == nil {
		return
	}
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.hungUp.Store(true)
	}
	l.schedule(p)
}

// schedule passes p to a worker.
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
	for {
		worked := l.worked.Load()
		select {
		case l.ready <- p:
			return
		case <-patience.C:
		}
		if l.worked.CompareAndSwap(worked, worked+1) { // for all who wait: one worker more at a time
			l.extra.Go(func() { l.startExtraWorker(p) })
			return
		}
		patience.Reset(stallTimeout)
	}
}

// work has a worker work on p.
func (l *loop) work(p *loopConn, buf []byte) {
	l.worked.Add(1)
	p.run(buf)
}

// startExtraWorker works on p and then on others for a while. If the blocked workers remain so,
// another follows. It does not go on for as long as there is work: with held connections, on a
// busy machine, there would be hundreds after some commands.
func (l *loop) startExtraWorker(p *loopConn) {
	buf := make([]byte, bufferSize)
	l.work(p, buf)
	patience := time.NewTimer(helpful)
	defer patience.Stop()
	for {
		select {
		case p, more := <-l.ready:
			if !more {
				return
			}
			l.work(p, buf)
		case <-patience.C:
			return
		}
	}
}

// add takes over a connection. It returns false if it cannot.
func (l *loop) add(ctx context.Context, c *conn, raw syscall.RawConn, done func(fleet.End)) bool {
	p := &loopConn{loop: l, conn: c, ctx: ctx, done: done}
	if err := raw.Control(func(fd uintptr) { p.fd = int32(fd) }); err != nil {
		return false
	}
	p.state.Store(running) // before it is found in parked: no worker runs it before begin
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	if n := int(p.fd) + 1 - len(l.parked); n > 0 {
		l.parked = append(l.parked, make([]*loopConn, n)...)
	}
	l.parked[p.fd] = p
	l.active++
	l.watch(ctx)
	l.mu.Unlock()
	if c.driven(func() { p.loop.schedule(p) }) {
		c.session.stopFor(fleet.ReasonInterrupted, errClosedHere) // before anything is sent
	}
	p.listen()
	if ctx.Err() != nil {
		p.state.Store(rerun)
	}
	p.begin()
	return true
}

// watch makes sure that ctx is watched. mu must be held.
func (l *loop) watch(ctx context.Context) {
	w := l.watches[ctx]
	if w == nil {
		w = &watch{}
		w.stop = context.AfterFunc(ctx, func() {
			l.each(func(p *loopConn) bool { return p.ctx == ctx }, l.schedule)
		})
		l.watches[ctx] = w
	}
	w.conns++
}

// unwatch undoes watch. mu must be held.
func (l *loop) unwatch(ctx context.Context) {
	w := l.watches[ctx]
	if w.conns--; w.conns == 0 {
		w.stop()
		delete(l.watches, ctx)
	}
}

// bind has ctx stop p from now on, in place of another context.
func (l *loop) bind(p *loopConn, ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unwatch(p.ctx)
	p.ctx = ctx
	l.watch(ctx)
}

// each calls do, without holding mu, for the connections that match; nil means all.
func (l *loop) each(match func(*loopConn) bool, do func(*loopConn)) {
	l.mu.Lock()
	var some []*loopConn
	for _, p := range l.parked {
		if p != nil && (match == nil || match(p)) {
			some = append(some, p)
		}
	}
	l.mu.Unlock()
	for _, p := range some {
		do(p)
	}
}

// forget removes a connection. It must be called before its descriptor is closed
// and reused.
func (l *loop) forget(p *loopConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parked[p.fd] = nil
	l.unwatch(p.ctx)
}

// left reports that a connection is released and done was called.
func (l *loop) left() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active--
	l.released.Broadcast()
}

// close abandons all connections and ends the loop.
func (l *loop) close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.each(nil, func(p *loopConn) { _ = p.conn.Close() })
	l.mu.Lock()
	for l.active > 0 {
		l.released.Wait()
	}
	l.mu.Unlock()
	l.deadlines.stop()
	err := l.epoll.Close()
	l.polling.Wait()
	close(l.ready)
	l.workers.Wait()
	l.extra.Wait()
	return err
}
