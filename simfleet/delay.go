package simfleet

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A transport is a connection that can end in three ways: after CloseWrite and
// Close what was written arrives first, after abort it need not.
type transport interface {
	net.Conn
	// CloseWrite sends EOF and goes on reading.
	CloseWrite() error
	abort()
}

// closeWrite ends the sending side where the connection has two; otherwise the
// whole.
func closeWrite(c net.Conn) error {
	if tcp, ok := c.(interface{ CloseWrite() error }); ok {
		return tcp.CloseWrite()
	}
	return c.Close()
}

// direct is a transport without latency.
type direct struct {
	net.Conn
	release func() // called once the connection is closed
	once    sync.Once
}

func (d *direct) Close() error {
	err := d.Conn.Close()
	d.once.Do(d.release)
	return err
}

func (d *direct) CloseWrite() error { return closeWrite(d.Conn) }

func (d *direct) abort() { _ = d.Close() }

// delayed is a transport on which everything that the server sends arrives a
// whole round trip late. With L the latency of one direction, this is a client
// that connects, says what it has to say, and waits for an answer:
//
//	     in reality                          here
//	0 L  client ── SYN ──▶                   client ── SYN ──▶  server
//	1 L              ──▶  server             connect returns; the server sleeps
//	2 L  ◀── SYN,ACK ──   connect returns                        │
//	     client ── version, … ──▶            (lies in the socket) │
//	3 L              ──▶  server speaks      server wakes at 2 L, speaks
//	4 L  ◀── version ──                      ◀── version ── (sent at 2 L + 2 L)
//	     client ── request ──▶               client ── request ──▶ at once
//	5 L              ──▶  server answers     the answer is queued at 4 L
//	6 L  ◀── answer ──                       ◀── answer ── (4 L + 2 L)
//
// From its first byte on the client sees every byte when it would in reality,
// because one RTT on one direction and half of it on both are the same to who
// waits at one end. The server sees each request one L early, which only its
// own clock could tell. What the client computes between connect and its first
// write is hidden in the server's sleep, up to 2 L.
//
// There is no goroutine: a timer runs while something is queued.
type delayed struct {
	net.Conn
	lag     func() time.Duration // the next byte's way, both directions
	release func()               // called once the connection is closed and no timer runs

	mu      sync.Mutex
	room    sync.Cond // on mu: the queue has shrunk, or ended is set
	queue   []parcel
	queued  int         // bytes in queue
	timer   *time.Timer // nil until the first write
	armed   bool        // deliver is going to run, or runs
	ended   bool        // CloseWrite or Close was called: nothing more is written
	closing bool        // Close was called; the queue's last parcel is the end
	aborted bool
}

// A parcel is bytes on their way, or what follows the last of them.
type parcel struct {
	due  time.Time
	data []byte
	end  func(net.Conn) error // after data; nil when more may come
}

// maxQueued is where Write begins to wait, as a full send buffer makes it wait.
const maxQueued = 1 << 20

func newDelayed(inner net.Conn, lag func() time.Duration, release func()) *delayed {
	d := &delayed{Conn: inner, lag: lag, release: release}
	d.room.L = &d.mu
	return d
}

func (d *delayed) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.queued > 0 && d.queued+len(p) > maxQueued && !d.ended {
		d.room.Wait()
	}
	if d.ended {
		return 0, net.ErrClosed
	}
	if len(p) > 0 {
		d.send(append([]byte(nil), p...), nil)
	}
	return len(p), nil
}

// send puts a parcel on its way. One that is due before those in front of it
// waits for them.
func (d *delayed) send(data []byte, end func(net.Conn) error) {
	due := time.Now().Add(d.lag())
	d.queue = append(d.queue, parcel{due, data, end})
	d.queued += len(data)
	if d.armed {
		return
	}
	d.armed = true
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(due), d.deliver)
	} else {
		d.timer.Reset(time.Until(due))
	}
}

// deliver runs on the timer's goroutine, and never twice at once. It may wait
// in the socket for a client that does not read, and nobody else waits with it.
func (d *delayed) deliver() {
	d.mu.Lock()
	for !d.aborted && len(d.queue) > 0 {
		if wait := time.Until(d.queue[0].due); wait > 0 {
			d.timer.Reset(wait)
			d.mu.Unlock()
			return
		}
		data, end := d.takeDue()
		d.mu.Unlock()
		_, err := d.Conn.Write(data)
		if err == nil && end != nil {
			err = end(d.Conn)
		}
		d.mu.Lock()
		d.queued -= len(data)
		d.room.Broadcast()
		if err != nil {
			d.abortLocked()
		}
	}
	d.armed = false
	gone := d.aborted
	d.mu.Unlock()
	if gone {
		d.release()
	}
}

// takeDue takes what has arrived by now off the queue as one piece, up to an
// end.
func (d *delayed) takeDue() (data []byte, end func(net.Conn) error) {
	now := time.Now()
	n, size := 0, 0
	for end == nil && n < len(d.queue) && !d.queue[n].due.After(now) {
		size += len(d.queue[n].data)
		end = d.queue[n].end
		n++
	}
	data = d.queue[0].data
	if n > 1 { // of the right size at once: a flood is many small pieces
		data = make([]byte, 0, size)
		for _, p := range d.queue[:n] {
			data = append(data, p.data...)
		}
	}
	d.queue = append(d.queue[:0], d.queue[n:]...)
	if len(d.queue) == 0 {
		d.queue = nil
	}
	return data, end
}

// shut ends a connection whose Close has arrived.
func shut(c net.Conn) error {
	_ = c.Close()
	return net.ErrClosed
}

// CloseWrite sends EOF after what was written.
func (d *delayed) CloseWrite() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return net.ErrClosed
	}
	d.ended = true
	d.room.Broadcast()
	d.send(nil, closeWrite)
	return nil
}

// Close sends the connection's end after what was written, and ends all reads.
func (d *delayed) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return net.ErrClosed
	}
	d.ended, d.closing = true, true
	d.room.Broadcast()
	d.send(nil, shut)
	if err := d.SetReadDeadline(time.Unix(1, 0)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return err
	}
	return nil
}

func (d *delayed) abort() {
	d.mu.Lock()
	if d.aborted {
		d.mu.Unlock()
		return
	}
	d.abortLocked()
	// A timer that can no longer be stopped sees aborted and releases.
	last := !d.armed || d.timer.Stop()
	d.mu.Unlock()
	if last {
		d.release()
	}
}

func (d *delayed) abortLocked() {
	d.aborted, d.ended, d.closing = true, true, true
	d.queue = nil
	d.room.Broadcast()
	_ = d.Conn.Close()
}
