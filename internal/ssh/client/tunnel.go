package client

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"shoal/internal/ssh/wire"
)

// A Tunnel is one stream through a jump host. It implements net.Conn.
type Tunnel struct {
	all     *Tunnels
	channel wire.Channel
	address string

	// The fields below are guarded by all.mu.
	changed sync.Cond
	state   tunnelState
	refused error
	arrival []byte // bytes received and not yet read
	eof     bool
	shut    bool          // Close was called, or Open has given up
	late    chan struct{} // of the UnansweredError; nil: none
	waits   bool          // Write waits for room in the output
	readBy  deadline
	writeBy deadline
}

type tunnelState uint8

const (
	tunnelOpening tunnelState = iota
	tunnelOpen
	tunnelGone
)

// A deadline wakes waiting goroutines when it passes.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// Open opens a stream to host and port as the jump host sees them. The error is an
// *UnansweredError when ctx has ended, a *RefusedError, or a *fleet.Error when the jump
// host is lost.
func (t *Tunnels) Open(ctx context.Context, host string, port uint16) (*Tunnel, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil, t.err
	}
	tunnel := &Tunnel{all: t, address: net.JoinHostPort(host, strconv.Itoa(int(port)))}
	tunnel.changed.L = &t.mu
	tunnel.channel = t.link.client.OpenDirect(host, port)
	t.tunnels[tunnel.channel] = tunnel
	t.output.Signal()
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		tunnel.changed.Broadcast()
	})
	defer stop()
	for tunnel.state == tunnelOpening && t.err == nil && ctx.Err() == nil {
		tunnel.changed.Wait()
	}
	switch {
	case tunnel.refused != nil:
		return nil, tunnel.refused
	case t.err != nil:
		return nil, t.err
	case tunnel.state == tunnelOpening:
		tunnel.shut = true // become closes the channel when the answer arrives
		tunnel.late = make(chan struct{})
		return nil, &UnansweredError{context.Cause(ctx), tunnel.late}
	}
	return tunnel, nil
}

// An UnansweredError means that a jump host has not answered before the context of Open had
// ended. It may go on trying to connect, with a descriptor for it.
type UnansweredError struct {
	cause error // of the context
	// Gone is closed when it has answered and the stream is closed, or the jump host is lost.
	Gone <-chan struct{}
}

func (e *UnansweredError) Error() string { return e.cause.Error() }
func (e *UnansweredError) Unwrap() error { return e.cause }

// become sets the state. all.mu must be held, as for arrived and ended.
func (c *Tunnel) become(s tunnelState, refused error) {
	c.state, c.refused = s, refused
	if s == tunnelOpen && c.shut {
		c.all.link.client.CloseChannel(c.channel)
	}
	if s == tunnelGone {
		c.gone()
	}
	c.changed.Broadcast()
}

// gone says that nothing is left of a stream that Open has given up. all.mu must be held.
func (c *Tunnel) gone() {
	if c.late != nil {
		close(c.late)
		c.late = nil
	}
}

func (c *Tunnel) arrived(p []byte) {
	if c.shut {
		c.all.link.client.Consumed(c.channel, len(p))
		return
	}
	c.arrival = append(c.arrival, p...)
	c.changed.Broadcast()
}

func (c *Tunnel) ended() {
	c.eof = true
	c.changed.Broadcast()
}

// Read implements net.Conn.
func (c *Tunnel) Read(p []byte) (int, error) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if err := c.awaitRead(); err != nil {
		return 0, err
	}
	n := copy(p, c.arrival)
	if c.arrival = c.arrival[n:]; len(c.arrival) == 0 {
		c.arrival = nil
	}
	if c.state == tunnelOpen {
		c.all.link.client.Consumed(c.channel, n)
		c.all.output.Signal()
	}
	return n, nil
}

// AwaitRead blocks until Read would not, so that a reader needs no buffer before.
func (c *Tunnel) AwaitRead() error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return c.awaitRead()
}

func (c *Tunnel) awaitRead() error {
	for {
		switch {
		case c.shut:
			return net.ErrClosed
		case c.readBy.passed(): // also while bytes are there: they may never end
			return os.ErrDeadlineExceeded
		case len(c.arrival) > 0:
			return nil
		case c.all.err != nil:
			return c.all.err
		case c.eof || c.state == tunnelGone:
			return io.EOF
		}
		c.changed.Wait()
	}
}

// Write implements net.Conn.
func (c *Tunnel) Write(p []byte) (int, error) {
	t := c.all
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.admit()
	sent := 0
	for {
		switch {
		case len(p) > 0 && sent == len(p):
			return sent, nil
		case c.shut:
			return sent, net.ErrClosed
		case t.err != nil:
			return sent, t.err
		case c.state == tunnelGone:
			return sent, io.ErrClosedPipe
		case c.writeBy.passed():
			return sent, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		if size := min(t.room(c), len(p)-sent); size > 0 {
			size = min(size, int(t.link.client.Window(c.channel)))
			n := t.link.client.Send(c.channel, p[sent:sent+size])
			t.output.Signal()
			t.leave(c)
			if sent += n; n > 0 && n == size {
				continue // at the end of the line if others wait
			}
		}
		c.waits = true
		c.changed.Wait()
		c.waits = false
	}
}

// Close implements net.Conn.
func (c *Tunnel) Close() error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.shut {
		return net.ErrClosed
	}
	c.shut = true
	c.all.leave(c)
	for _, d := range []*deadline{&c.readBy, &c.writeBy} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	if c.state == tunnelOpen && c.all.err == nil {
		c.all.link.client.Consumed(c.channel, len(c.arrival))
		c.all.link.client.CloseChannel(c.channel)
		c.all.output.Signal()
	}
	c.arrival = nil
	c.changed.Broadcast()
	return nil
}

// SetDeadline implements net.Conn.
func (c *Tunnel) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Tunnel) SetReadDeadline(t time.Time) error { return c.set(&c.readBy, t) }

// SetWriteDeadline implements net.Conn.
func (c *Tunnel) SetWriteDeadline(t time.Time) error { return c.set(&c.writeBy, t) }

func (c *Tunnel) set(d *deadline, t time.Time) error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.shut {
		return net.ErrClosed
	}
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
	}
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			c.all.mu.Lock()
			defer c.all.mu.Unlock()
			c.changed.Broadcast()
		})
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *Tunnel) LocalAddr() net.Addr { return c.all.link.conn.LocalAddr() }

// RemoteAddr implements net.Conn. It returns the address that was sent to the jump
// host.
func (c *Tunnel) RemoteAddr() net.Addr { return tunnelAddr(c.address) }

type tunnelAddr string

func (tunnelAddr) Network() string  { return "tcp" }
func (a tunnelAddr) String() string { return string(a) }
