package simfleet

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"
)

// A conn is one accepted connection, from the host's side. It begins with run
// on a goroutine of its own.
type conn struct {
	transport
	fleet  *Fleet
	raw    net.Conn
	host   int
	number uint64 // from 1, in the order of acceptance

	// ctx ends when either side has ended the connection.
	ctx    context.Context
	cancel context.CancelFunc

	start *time.Timer // runs run, under latency; nil otherwise
	dice  *rand.PCG   // for jitter; nil without
	ahead []byte      // read from the socket and not yet handed out
	ssh   serverConn
	hung  atomic.Bool // see Fleet.Disturb
}

func newConn(f *Fleet, raw net.Conn, host int, number uint64) *conn {
	c := &conn{fleet: f, raw: raw, host: host, number: number}
	c.ctx, c.cancel = context.WithCancel(f.ctx)
	if f.options.Jitter > 0 {
		c.dice = rand.NewPCG(number, uint64(host)) // not negative
	}
	release := func() { f.forget(c) }
	if f.options.Latency == 0 && f.options.Jitter == 0 {
		c.transport = &direct{Conn: raw, release: release}
	} else {
		c.transport = newDelayed(raw, c.lag, release)
	}
	return c
}

// lag is how long the next byte is under way, in both directions together.
func (c *conn) lag() time.Duration {
	d := c.fleet.options.rtt()
	if c.dice != nil {
		jitter := rand.New(c.dice) // chance, not secrecy
		d += time.Duration(jitter.Int64N(int64(c.fleet.options.Jitter)))
		d += time.Duration(jitter.Int64N(int64(c.fleet.options.Jitter)))
	}
	return d
}

// readAhead is more than a client's version line.
const readAhead = 256

// Read tells ctx when the connection has ended. The version line is asked for
// byte by byte; it is read in one go all the same.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ahead) == 0 && len(p) == 1 {
		c.ahead = make([]byte, readAhead)
		n, err := c.transport.Read(c.ahead)
		c.ahead = c.ahead[:n]
		if err != nil {
			c.cancel()
			return 0, err
		}
	}
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return n, nil
	}
	c.hang()
	n, err := c.transport.Read(p)
	c.hang()
	if err != nil {
		c.cancel()
	}
	return n, err
}

func (c *conn) Close() error {
	c.cancel()
	return c.transport.Close()
}

// abort ends the connection now, whatever is still under way.
func (c *conn) abort() {
	c.cancel()
	c.transport.abort()
	if c.start != nil && c.start.Stop() {
		c.fleet.work.Done() // run will not come to it
	}
}

// run is the host's side of the connection, from its first byte to its last.
func (c *conn) run() {
	defer c.fleet.work.Done()
	defer func() { _ = c.Close() }()
	if !c.fleet.gate.enter(c.host) {
		c.fleet.count(func(s *Stats) { s.Dropped++ })
		throttle(c, exceededMaxStartups)
		return
	}
	if c.fleet.options.Penalties && c.fleet.penalties.refused(time.Now()) {
		c.fleet.gate.leave(c.host)
		c.fleet.count(func(s *Stats) { s.Dropped++ })
		throttle(c, notAllowedNow)
		return
	}
	b := c.behaviour()
	if b.raw != nil {
		b.raw(c)
		c.fleet.gate.leave(c.host)
		return
	}
	c.serveSSH(b)
}

// behaviour looks up what the host does wrong.
func (c *conn) behaviour() behaviour {
	if c.fleet.options.Fault == nil {
		return behaviour{}
	}
	return c.fleet.options.Fault(c.host).behaviour()
}

// hangUp ends what the server sends, and waits for the client to leave. Closing
// at once would be an RST or not, as the client's bytes happen to lie.
func (c *conn) hangUp() {
	if c.CloseWrite() == nil {
		c.drain()
	}
}

// drain reads and drops what the client sends until the connection ends.
func (c *conn) drain() {
	var buf [512]byte
	for {
		if _, err := c.Read(buf[:]); err != nil {
			return
		}
	}
}

// pause waits for d, and says whether the connection is still there.
func (c *conn) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}
